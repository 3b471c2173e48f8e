// A page that was opened at a place in its middle ("#the-question") is hidden until the widgets and
// the formulas above that place have their height. Then the place is at the top of the window.
// Whoever scrolls meanwhile is left where they are.
(() => {
  const root = document.documentElement;
  if (!root.classList.contains("lmcourse-arriving")) return;
  const gestures = ["wheel", "touchmove", "keydown", "pointerdown"];
  const show = () => {
    root.classList.remove("lmcourse-arriving");
    for (const gesture of gestures) window.removeEventListener(gesture, leave);
  };
  let left = false;
  function leave() {
    left = true;
    show();
  }
  for (const gesture of gestures) window.addEventListener(gesture, leave, { passive: true });

  window.addEventListener("load", async () => {
    await window.lmcourse?.ready;
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!left) place?.scrollIntoView();
    show();
  });
})();
