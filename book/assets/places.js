// A link leads to a place in a page, and then widgets and formulas above it grow. So the page goes
// there again whenever it has grown, until the reader does something. Going back keeps the old view.
(() => {
  const [visit] = performance.getEntriesByType("navigation");
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!place || visit?.type !== "navigate") return;
  const growth = new ResizeObserver(() => place.scrollIntoView({ behavior: "instant" }));
  growth.observe(document.body);
  for (const event of ["wheel", "touchstart", "pointerdown", "keydown"]) {
    window.addEventListener(event, () => growth.disconnect(), { once: true, passive: true });
  }
})();
