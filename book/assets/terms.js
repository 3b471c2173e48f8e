// Shows a term or a paper in a small box when a reader points at a link to it, by mouse, keyboard or
// touch. What the box says is in one script, which is loaded when it is first needed: browsers
// forbid pages on disk to fetch, but not to load a classic script.
(() => {
  "use strict";
  const LINKS = 'a[href*="glossary.html#term-"], a[href*="bibliography.html#"]';
  const OPEN_AFTER = 150; // milliseconds: a pointer that only passes opens nothing
  const CLOSE_AFTER = 300; // ... and one on its way from the link to the box closes nothing
  const MARGIN = 8; // pixels between box and window
  const source = new URL("lmcourse/terms.js", document.currentScript.src);

  let entries; // promise of all terms and papers
  let link = null; // the link whose box is shown
  let opening = 0; // timers
  let closing = 0;
  let touched = false; // the last pointer that came down was a finger
  const box = document.createElement("div");
  box.id = "lmcourse-term";
  box.className = "lmcourse-term";
  box.setAttribute("role", "tooltip");

  function loadEntries() {
    entries ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = () => resolve(window.lmcourseTerms);
      script.onerror = () => reject(new Error(`${source} is missing`));
      document.head.append(script);
    });
    return entries;
  }

  function wait() {
    clearTimeout(opening);
    clearTimeout(closing);
    closing = 0;
  }

  function linkOf(event) {
    const found = event.target.closest?.(LINKS);
    return found?.closest(".bd-article") ? found : null;
  }

  function fill({ names, html }, withLink) {
    box.innerHTML = html;
    if (names.length) {
      const heading = document.createElement("p");
      heading.className = "lmcourse-term-names";
      heading.innerHTML = `<strong>${names[0]}</strong> <span lang="ko">${names[1]}</span>`;
      box.prepend(heading);
    }
    if (withLink) {
      const more = document.createElement("a");
      more.href = link.href;
      more.textContent = names.length ? "Glossary" : "Bibliography";
      box.append(more);
    }
  }

  // Under the line of the link that the pointer is on; above it where the window ends.
  function place(y) {
    const lines = [...link.getClientRects()];
    const line = lines.find((rect) => rect.top <= y && y <= rect.bottom) ?? lines[0];
    const width = document.documentElement.clientWidth;
    const left = Math.max(MARGIN, Math.min(line.left, width - box.offsetWidth - MARGIN));
    const below = line.bottom + box.offsetHeight + MARGIN <= window.innerHeight;
    const above = line.top - box.offsetHeight - MARGIN >= 0;
    const top = below || !above ? line.bottom : line.top - box.offsetHeight;
    const origin = box.offsetParent.getBoundingClientRect();
    box.style.left = `${left - origin.left}px`;
    box.style.top = `${top - origin.top}px`;
  }

  async function show(next, { y = NaN, withLink = false } = {}) {
    wait();
    if (next === link) return;
    hide();
    link = next;
    const all = await loadEntries().catch(() => null);
    if (!all && withLink) location.assign(next.href); // the tap then does what links do
    if (!all || link !== next) return; // left while the script was loading
    const entry = all[link.href.match(/(\w+)\.html(#.+)$/).slice(1).join("")];
    if (!entry) return;
    fill(entry, withLink);
    link.closest("main").append(box);
    // With a link in it the box is a place to go to; without, it is a note on the term.
    box.setAttribute("role", withLink ? "group" : "tooltip");
    place(y);
    if (withLink) box.lastElementChild.focus({ preventScroll: true });
    else link.setAttribute("aria-describedby", box.id);
  }

  function hide() {
    wait();
    if (box.contains(document.activeElement)) link.focus({ preventScroll: true });
    link?.removeAttribute("aria-describedby");
    link = null;
    box.remove();
  }

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const over = linkOf(event);
    if (over || box.contains(event.target)) {
      wait();
      if (over) opening = setTimeout(() => show(over, { y: event.clientY }), OPEN_AFTER);
      return;
    }
    clearTimeout(opening);
    if (link && link !== document.activeElement) closing ||= setTimeout(hide, CLOSE_AFTER);
  });

  document.addEventListener("focusin", (event) => {
    const focused = linkOf(event);
    if (focused?.matches(":focus-visible")) show(focused);
    else if (!focused && !box.contains(event.target)) hide();
  });
  document.addEventListener("focusout", (event) => {
    if (event.target === link && !box.contains(event.relatedTarget)) hide();
  });

  // A finger cannot hover: its first tap on a link shows the box, in which a link leads on; so does a
  // second tap on the term. A tap beside it closes the box.
  document.addEventListener("pointerdown", (event) => {
    touched = event.pointerType === "touch";
  });
  document.addEventListener("click", (event) => {
    const tapped = linkOf(event);
    if (touched && event.detail && tapped && tapped !== link) {
      event.preventDefault();
      show(tapped, { y: event.clientY, withLink: true });
    } else if (!box.contains(event.target)) hide();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    else loadEntries().catch(() => null); // so that a box is there as soon as its link has the focus
  });
  window.addEventListener("resize", hide);
})();
