// A chapter remembers that it was opened, and where the reader was, so that the landing page can lead
// back. It stays in this browser.
(() => {
  const page = location.pathname.split("/").pop().replace(/\.html$/, "");
  const keep = () => {
    const passed = [...document.querySelectorAll(".bd-article section[id]")].filter(
      (section) => section.getBoundingClientRect().top < innerHeight / 3,
    );
    const place = passed.length > 1 ? passed.at(-1).id : ""; // the first is the chapter itself
    try {
      localStorage.setItem("lmcourse:last", JSON.stringify({ page, place }));
    } catch {
      // Private browsing or a full store: nothing is kept.
    }
  };
  addEventListener("load", keep);
  addEventListener("pagehide", keep);
  document.addEventListener("visibilitychange", keep);
})();
