// A quiz: one question, an answer, and why it is right or wrong.
import { h, frame, put, newId } from "./common.js";
import { inline, prose, keeper, cardHead } from "./cards.js";

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const same = (a, b) => a.length === b.length && a.every((item, i) => item === b[i]);

/** The words and numbers of a text; white space, commas and brackets only separate them. */
export function partsOf(text) {
  const words = String(text).split(/[\s,()[\]{}]+/).filter((word) => word);
  return words.map((word) => (NUMBER.test(word) ? Number(word) + 0 : word));
}

/**
 * A number as the reader may write it: 0.25, 0,25, 1/4 or 4 bits. NaN where it is none. A comma
 * before three digits is refused: 1,585 may mean a thousand or one and a half.
 */
export function toNumber(typed, unit = "") {
  let text = typed.replaceAll("−", "-").trim();
  const name = unit && [unit, unit.replace(/s$/, "")].find((end) => text.endsWith(end));
  if (name) text = text.slice(0, -name.length);
  if (/[1-9]\d*,\d{3}(?!\d)/.test(text)) return NaN;
  const parts = text.replaceAll(",", ".").split("/").map((part) => part.trim());
  if (parts.length > 2 || !parts.every((part) => NUMBER.test(part))) return NaN;
  return Number(parts[0]) / Number(parts[1] ?? 1);
}

/** What to say to an answer: { correct, why }. The rules are those of lmcourse.exercises. */
export function judge(quiz, answer) {
  if (quiz.kind === "choice") {
    const { correct, why } = quiz.options.find((option) => option.text === answer);
    return { correct, why };
  }
  const foreseen = (matches) => quiz.wrong.find((item) => matches(item.answer))?.why;
  if (quiz.kind === "number") {
    const near = (target) => Math.abs(target - answer) <= quiz.tolerance;
    if (near(quiz.answer)) return { correct: true, why: quiz.why };
    const side = answer < quiz.answer ? "small" : "large";
    return { correct: false, why: foreseen(near) ?? `Your number is too ${side}.` };
  }
  if (quiz.kind === "order") {
    if (same(answer, quiz.answer)) return { correct: true, why: quiz.why };
    const right = answer.findIndex((item, i) => item !== quiz.answer[i]);
    const place = `Look at number ${right + 1}: it is not in its place yet.`;
    return { correct: false, why: foreseen((wrong) => same(answer, wrong)) ?? place };
  }
  const given = partsOf(answer);
  if (same(given, partsOf(quiz.answer))) return { correct: true, why: quiz.why };
  const why = foreseen((wrong) => same(given, partsOf(wrong)));
  return { correct: false, why: why ?? "The code prints something else. Go through it line by line." };
}

function render({ model, el }) {
  const quiz = model.get("exercise");
  const root = frame(el, quiz.title);
  const showDone = cardHead(root, quiz, "Quiz");
  const kept = keeper(model);
  const id = newId();
  const verdict = h("div", { class: "lc-verdict", role: "status", "aria-live": "polite" });
  const clear = () => {
    verdict.replaceChildren();
    verdict.className = "lc-verdict";
  };
  const say = (kind, lead, text) => {
    verdict.className = `lc-verdict ${kind}`;
    const [first, ...rest] = prose(text);
    first.prepend(h("strong", {}, `${lead} `));
    verdict.replaceChildren(first, ...rest);
  };

  let read; // () => the answer, or undefined with a word to the reader
  const answers = h("div", { class: "lc-answer" });
  const question = h("div", { class: "lc-statement", id }, prose(quiz.question));
  const onEnter = (event) => {
    if (event.key === "Enter") check();
  };
  if (quiz.kind === "choice") {
    const group = `${id}-options`;
    const inputs = quiz.options.map((option) => h("input", { type: "radio", name: group, value: option.text, onchange: clear }));
    answers.append(
      h("fieldset", { "aria-labelledby": id },
        h("ul", { class: "lc-options" }, quiz.options.map((option, i) =>
          h("li", {}, h("label", {}, inputs[i], h("span", {}, inline(option.text))))))),
    );
    read = () => quiz.options[inputs.findIndex((input) => input.checked)]?.text ?? say("", "Choose", "one of the options first.");
  } else if (quiz.kind === "number") {
    const input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", oninput: clear, onkeydown: onEnter });
    answers.append(h("label", { class: "lc-field", style: "max-width:16rem" }, quiz.unit ? `Your number, in ${quiz.unit}` : "Your number", input));
    read = () => {
      const value = toNumber(input.value, quiz.unit);
      const form = "a number or a fraction, such as 0.25 or 1/4; no commas between thousands, and nothing left to work out.";
      return Number.isFinite(value) ? value : say("", "Type", form);
    };
  } else if (quiz.kind === "order") {
    const list = h("ol", { class: "lc-order" });
    const items = [...quiz.items];
    const moved = h("p", { class: "lc-muted lc-small", role: "status", "aria-live": "polite", style: "min-height:1.4em;margin-top:.4rem" });
    const move = (from, to) => {
      const [item] = items.splice(from, 1);
      items.splice(to, 0, item);
      clear();
      show();
      list.children[to].querySelectorAll("button")[to < from ? 0 : 1].focus();
      moved.textContent = `“${item}” is now number ${to + 1} of ${items.length}.`;
    };
    // At the end of the way a button stays where the focus is: it only does nothing.
    const arrow = (sign, name, item, from, to) => {
      const over = to < 0 || to >= items.length;
      const onclick = () => over || move(from, to);
      return h("button", { type: "button", "aria-label": `Move ${name}: ${item}`, "aria-disabled": over ? "true" : null, onclick }, sign);
    };
    const show = () =>
      list.replaceChildren(...items.map((item, i) =>
        h("li", {},
          h("span", {}, h("span", { class: "lc-muted" }, `${i + 1}. `), inline(item)),
          arrow("↑", "up", item, i, i - 1),
          arrow("↓", "down", item, i, i + 1))));
    show();
    answers.append(list, moved);
    read = () => [...items];
  } else {
    const input = h("textarea", { rows: Math.min(8, Math.max(2, quiz.answer.split("\n").length)), spellcheck: "false", oninput: clear, style: "font-family:var(--pst-font-family-monospace,ui-monospace,monospace)" });
    question.append(h("pre", { tabindex: 0, "aria-label": "The code" }, h("code", {}, quiz.code)));
    answers.append(h("label", { class: "lc-field" }, "What does it print?", input));
    read = () => (input.value.trim() ? input.value : say("", "Type", "what the code prints."));
  }

  function check() {
    const answer = read();
    if (answer === undefined) return;
    const { correct, why } = judge(quiz, answer);
    say(correct ? "lc-right" : "lc-wrong", correct ? "✓ Right." : "✗ Not yet.", why);
    put(model, { answer });
    if (correct && !kept.read()) kept.write(true);
    showDone(kept.read() || correct);
  }

  root.append(question, answers, h("div", { class: "lc-row", style: "margin-top:.8rem" }, h("button", { type: "button", class: "lc-primary", onclick: check }, "Check")), verdict);
  showDone(kept.read());
}

export default { render };
