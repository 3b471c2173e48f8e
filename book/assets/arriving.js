// A page that is opened at a place in its middle ("#the-question") goes there again whenever widgets
// and formulas above it have grown, until the reader does something. It is hidden until they stand
// (see first_paint.py), so that nothing jumps. Going back keeps the old view.
(() => {
  const STANDS = 150; // milliseconds without growth
  const show = () => document.documentElement.classList.remove("lmcourse-arriving");
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const [visit] = performance.getEntriesByType("navigation");
  if (!place || visit?.type !== "navigate") return show();

  let loaded = false;
  let standing;
  const wait = () => {
    clearTimeout(standing);
    if (loaded) standing = setTimeout(show, STANDS);
  };
  const growth = new ResizeObserver(() => {
    place.scrollIntoView();
    wait();
  });
  growth.observe(document.body);
  const leave = () => {
    growth.disconnect();
    show();
  };
  for (const gesture of ["wheel", "touchstart", "pointerdown", "keydown"]) {
    window.addEventListener(gesture, leave, { once: true, passive: true });
  }
  window.addEventListener("load", async () => {
    await window.lmcourse?.ready;
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    loaded = true;
    wait();
  });
})();
