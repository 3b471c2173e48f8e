// The landing page shows what the reader has done. The browser keeps it, under a key for each exercise
// ("lmcourse:markov.row_softmax" = "done") and one for the place that was read last. A file of it is
// the one that the notebooks write: { "markov.row_softmax": true }.
(() => {
  const PREFIX = "lmcourse:";
  const LAST = `${PREFIX}last`;
  const FILE = "progress.json";
  const root = document.querySelector(".course-landing");
  if (!root) return;
  const one = (selector) => root.querySelector(selector);
  const rungs = [...root.querySelectorAll(".course-rung")].map((node, i) => ({
    node,
    step: root.querySelectorAll(".course-stairs li")[i],
    link: node.querySelector("h3 a"),
    exercises: node.dataset.exercises.split(" "),
  }));
  const all = rungs.flatMap((rung) => rung.exercises);
  const start = one(".course-start a");
  const atFirst = { href: start.href, text: start.textContent };
  const said = one(".course-said");
  const forget = one(".course-forget");
  const NOTHING_KEPT = "This browser keeps nothing for this page: its storage is off or full.";

  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

  function element(tag, properties, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  // ------------------------------------------------------------------------------- what is kept
  function kept(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }
  const isDone = (name) => kept(PREFIX + name) === "done";

  function lastPlace() {
    try {
      const { page, place } = JSON.parse(kept(LAST));
      const rung = rungs.find(({ link }) => link.pathname.endsWith(`/${page}.html`));
      return rung && { rung, place: /^[\w-]+$/.test(place) ? `#${place}` : "" };
    } catch {
      return undefined; // nothing is kept, or nothing that this page wrote
    }
  }

  // ----------------------------------------------------------------------------- what is shown
  function showDone(node, names) {
    const n = names.filter(isDone).length;
    for (const bar of node.querySelectorAll(".course-bar")) {
      bar.style.setProperty("--done", n / names.length);
      bar.classList.toggle("course-full", n === names.length);
    }
    const text = node.querySelector(".course-done-text");
    if (text) text.textContent = `${n} of ${names.length} exercises done`;
  }

  function show() {
    for (const { node, step, exercises } of rungs) {
      showDone(node, exercises);
      showDone(step, exercises);
    }
    showDone(one(".course-total"), all);
    const last = lastPlace();
    for (const { node } of rungs) node.classList.toggle("course-here", node === last?.rung.node);
    start.href = last ? last.rung.link.href + last.place : atFirst.href;
    start.textContent = last ? `Continue with chapter ${last.rung.link.textContent.replace(" ", ": ")}` : atFirst.text;
    forget.disabled = !last && !all.some(isDone);
    one(".course-save").disabled = !all.some(isDone);
    one(".course-progress").classList.add("course-shown");
  }

  const say = (...parts) => said.replaceChildren(...parts);

  // ---------------------------------------------------------------------------- what one can do
  function save() {
    const done = Object.fromEntries(all.filter(isDone).map((name) => [name, true]));
    const text = `${JSON.stringify(done, null, 1)}\n`;
    const link = element("a", {
      href: URL.createObjectURL(new Blob([text], { type: "application/json" })),
      download: FILE,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say(`Saved as ${FILE}: ${plural(Object.keys(done).length, "exercise")} done.`);
  }

  function names(text) {
    try {
      const content = JSON.parse(text);
      if (typeof content !== "object" || content === null || Array.isArray(content)) return undefined;
      const found = Object.keys(content).filter((name) => content[name] === true);
      return found.length || !Object.keys(content).length ? found : undefined;
    } catch {
      return undefined;
    }
  }

  async function load(event) {
    const [file] = event.target.files;
    const found = names(await file.text());
    event.target.value = ""; // the same file can be chosen again
    if (!found) {
      say(`${file.name} is no file of progress: choose a ${FILE} that this page or a notebook wrote. Nothing was changed.`);
      return;
    }
    const known = found.filter((name) => all.includes(name));
    try {
      for (const name of known) localStorage.setItem(PREFIX + name, "done");
    } catch {
      say(NOTHING_KEPT);
      return;
    }
    const unknown = found.length - known.length;
    const strange = unknown ? ` It also names ${plural(unknown, "exercise")} that this book does not have.` : "";
    say(`Loaded: ${plural(known.length, "exercise")} done.${strange}`);
    show();
  }

  function ask() {
    const no = element("button", { type: "button", onclick: () => close() }, "Keep it");
    const yes = element("button", { type: "button", onclick: () => forgetAll() }, "Yes, forget it all");
    const n = all.filter(isDone).length;
    const done = n ? `${plural(n, "exercise")} done, ` : "";
    say(
      element("p", {}, `Forget ${done}the place you read last, and your game of chapter 1?`),
      element("p", { className: "course-keep" }, no, yes),
    );
    no.focus();
  }

  function close() {
    say();
    forget.focus();
  }

  function forgetAll() {
    for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
    show();
    say("All is forgotten.");
    start.focus({ preventScroll: true });
  }

  one(".course-save").addEventListener("click", save);
  one(".course-load input").addEventListener("change", load);
  forget.addEventListener("click", ask);
  window.addEventListener("storage", show); // another tab
  window.addEventListener("pageshow", show); // back to this page, which the browser may have kept
  document.addEventListener("visibilitychange", show);
  show();
})();
