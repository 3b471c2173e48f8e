// A filter over the entries of the glossary: what a reader types must stand in a name or a meaning.
(() => {
  "use strict";
  const list = document.querySelector("dl.glossary");
  const entries = [...list.querySelectorAll("dd")].map((meaning) => {
    const korean = meaning.previousElementSibling;
    const parts = [korean.previousElementSibling, korean, meaning];
    const said = meaning.querySelector("p").textContent;
    return { parts, text: [...parts.slice(0, 2).map(name), said].join("\n").toLowerCase() };
  });

  function name(term) {
    return term.firstChild.textContent;
  }

  const form = document.createElement("div");
  form.className = "lmcourse-filter";
  form.innerHTML =
    '<label for="lmcourse-filter">Filter, in English or Korean</label>' +
    '<input id="lmcourse-filter" type="search" autocomplete="off" spellcheck="false">' +
    '<span role="status"></span>';
  list.before(form);
  const input = form.querySelector("input");
  const status = form.querySelector("[role=status]");

  function filter() {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    for (const { parts, text } of entries) {
      const fits = text.includes(wanted);
      shown += fits;
      for (const part of parts) part.hidden = !fits;
    }
    status.textContent = wanted ? `${shown} of ${entries.length} terms` : "";
  }

  input.addEventListener("input", filter);
  document.addEventListener("click", (event) => {
    if (!event.target.closest('a[href^="#"]')) return;
    input.value = ""; // the term that the link leads to may be hidden
    filter();
  });
})();
