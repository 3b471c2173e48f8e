// A code exercise: the statement, hints one at a time, the solution after a second question. A card
// that was made without a solution has no button for it.
import { h, frame, plural } from "./common.js";
import { prose, keeper, cardHead } from "./cards.js";

function render({ model, el }) {
  const exercise = model.get("exercise");
  const root = frame(el, exercise.title);
  const showDone = cardHead(root, exercise, "Exercise");
  const kept = keeper(model);
  const { hints, solution } = exercise;

  const hintList = h("div", { role: "status", "aria-live": "polite" });
  const more = h("button", { type: "button", onclick: () => hint() });
  const ask = h("button", { type: "button", onclick: () => confirm() }, "Show the solution");
  const really = h("div", { class: "lc-verdict", hidden: true });
  const place = h("div", {});
  const mark = h("input", { type: "checkbox", onchange: () => done(mark.checked) });
  const shown = () => hintList.children.length;

  function label() {
    more.textContent = shown() < hints.length ? `Hint ${shown() + 1} of ${hints.length}` : "No more hints";
    more.disabled = shown() >= hints.length;
  }
  function hint() {
    if (shown() >= hints.length) return;
    hintList.append(h("div", { class: "lc-hint" }, h("strong", {}, `Hint ${shown() + 1}`), prose(hints[shown()])));
    label();
    if (more.disabled) (solution ? ask : mark).focus({ preventScroll: true });
  }
  function confirm() {
    if (place.children.length) {
      place.replaceChildren();
      ask.textContent = "Show the solution";
      return;
    }
    const left = hints.length - shown();
    const yes = h("button", { type: "button", onclick: () => reveal() }, "Yes, show it");
    const no = h("button", { type: "button", onclick: () => close() }, "I will try again");
    really.hidden = false;
    really.replaceChildren(
      h("p", {}, left ? `There ${left === 1 ? "is" : "are"} still ${plural(left, "hint")}. Show the solution now?` : "Show the solution now?"),
      h("div", { class: "lc-row", style: "margin-top:.5rem" }, no, yes),
    );
    no.focus({ preventScroll: true });
  }
  function close() {
    really.hidden = true;
    ask.focus({ preventScroll: true });
  }
  function reveal() {
    close();
    const code = h("pre", { tabindex: 0, "aria-label": "A solution" }, h("code", {}, solution.trim()));
    place.replaceChildren(h("p", { class: "lc-label", style: "margin-top:.8rem" }, "A solution"), code);
    ask.textContent = "Hide the solution";
    code.focus({ preventScroll: true });
  }
  function done(value) {
    kept.write(value);
    mark.checked = value;
    showDone(value);
  }

  const where = ["To write it: run ", h("code", {}, "make lab"), ", open this chapter there, and go to its section Exercises."];
  root.append(
    h("div", { class: "lc-statement" }, prose(exercise.statement)),
    ...(kept.kernel ? [] : [h("p", { class: "lc-muted lc-small" }, where)]), // in Jupyter its cell is the next one
    hintList,
    h("div", { class: "lc-row", style: "margin-top:.8rem" }, hints.length ? more : null, solution ? ask : null,
      h("label", { class: "lc-row", style: "gap:.4rem;font-weight:400;margin-left:auto" }, mark, "I have done this")),
    really,
    place,
  );
  label();
  mark.checked = kept.read();
  showDone(kept.read());
  model.on("change:done", () => {
    mark.checked = kept.read();
    showDone(kept.read());
  });
}

export default { render };
