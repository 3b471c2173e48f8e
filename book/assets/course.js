// A box that scrolls sideways must be reachable by keyboard: it becomes a stop of the tab key, but
// only while it does scroll. Its class tells the style, which says that something goes on.
(() => {
  const boxes = "table, .lmcourse-scroll, .pst-scrollable-table-container, .cell_output .output, mjx-container, math";
  const update = () => {
    for (const box of document.querySelectorAll(boxes)) {
      const scrolls =
        box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX);
      box.classList.toggle("lmcourse-scrolls", scrolls);
      if (scrolls) box.setAttribute("tabindex", "0");
      else if (!box.closest(".lmcourse")) box.removeAttribute("tabindex");
    }
  };
  window.addEventListener("load", () => {
    update();
    window.MathJax?.startup?.promise?.then(update);
    window.lmcourse?.ready?.then(update);
  });
  window.addEventListener("resize", update);
  document.addEventListener("click", () => requestAnimationFrame(update)); // something unfolded
})();
