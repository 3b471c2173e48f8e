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
  const updateSoon = () => requestAnimationFrame(update);
  window.addEventListener("load", update);
  document.fonts.addEventListener("loadingdone", updateSoon);
  new MutationObserver(updateSoon).observe(document.body, { childList: true, subtree: true });
  window.addEventListener("resize", update);
  document.addEventListener("click", updateSoon); // something unfolded
})();
