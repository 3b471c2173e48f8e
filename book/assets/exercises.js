// The page of all exercises: marks those that are done in this browser, and shows the chosen ones.
(() => {
  const rows = [...document.querySelectorAll('td a[href*="#exercise-"]')].map((link) => {
    const row = link.closest("tr");
    const [, kind, , difficulty] = [...row.cells].map((cell) => cell.textContent.trim());
    return { row, kind, difficulty, name: link.hash.replace("#exercise-", ""), mark: row.insertCell(), done: false };
  });
  const tables = [...new Set(rows.map(({ row }) => row.closest("table")))];
  for (const table of tables) {
    const head = document.createElement("th");
    head.className = "head";
    head.scope = "col";
    head.textContent = "done";
    table.tHead.rows[0].append(head);
  }

  function isDone(name) {
    try {
      return localStorage.getItem(`lmcourse:${name}`) === "done";
    } catch {
      return false; // a browser that keeps nothing
    }
  }

  function choice(label, values) {
    const box = document.createElement("label");
    const select = document.createElement("select");
    for (const value of ["all", ...values]) select.add(new Option(value));
    select.onchange = show;
    box.append(`${label} `, select);
    return {
      box,
      fits: (value) => select.value === "all" || select.value === value,
      all: () => (select.value = "all"),
    };
  }

  const distinct = (key) => [...new Set(rows.map((entry) => entry[key]))].sort();
  const kind = choice("Kind", distinct("kind"));
  const difficulty = choice("Difficulty", distinct("difficulty"));
  const open = document.createElement("label");
  const onlyOpen = Object.assign(document.createElement("input"), { type: "checkbox", onchange: show });
  open.append(onlyOpen, " only what is not done");
  const count = Object.assign(document.createElement("p"), { role: "status" });
  const bar = document.createElement("div");
  bar.className = "lmcourse-filter";
  bar.append(kind.box, difficulty.box, open);
  tables[0].closest("section").before(bar, count);

  function show() {
    for (const { row, ...entry } of rows) {
      row.hidden = !(kind.fits(entry.kind) && difficulty.fits(entry.difficulty) && !(onlyOpen.checked && entry.done));
    }
    for (const table of tables) table.closest("section").hidden = ![...table.tBodies[0].rows].some((row) => !row.hidden);
    const shown = rows.filter(({ row }) => !row.hidden).length;
    const done = rows.filter((entry) => entry.done).length;
    count.textContent = `${shown} of ${rows.length} exercises are shown. You have done ${done}.`;
  }

  function mark() {
    for (const entry of rows) {
      entry.done = isDone(entry.name);
      entry.mark.textContent = entry.done ? "✓ done" : "";
    }
    show();
  }
  document.addEventListener("click", (event) => {
    if (!event.target.closest('a[href^="#"]')) return;
    for (const { all } of [kind, difficulty]) all(); // the chapter that the link leads to may be hidden
    onlyOpen.checked = false;
    show();
  });

  mark();
  window.addEventListener("pageshow", mark); // back from a chapter
  window.addEventListener("storage", mark); // done in another window
})();
