// A quiz: one question, an answer, and why it is right or wrong.
import { h, frame, inline, prose, keeper, cardHead, put, newId } from "./common.js";

const squeezed = (text) => String(text).trim().split(/\s+/).join(" ");
const same = (a, b) => a.length === b.length && a.every((item, i) => item === b[i]);

/** A number as the reader may write it: 0.25, 0,25 or 1/4. NaN where it is none. */
export function toNumber(text) {
  const [top, bottom, more] = text.trim().replaceAll(",", ".").replaceAll("−", "-").split("/");
  if (more !== undefined || !top.trim() || bottom?.trim() === "") return NaN;
  return bottom === undefined ? Number(top) : Number(top) / Number(bottom);
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
  const given = squeezed(answer);
  if (given === squeezed(quiz.answer)) return { correct: true, why: quiz.why };
  const why = foreseen((wrong) => squeezed(wrong) === given);
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
      const value = toNumber(input.value);
      return Number.isFinite(value) ? value : say("", "Type", "a number, such as 0.25 or 1/4.");
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
      const [up, down] = list.children[to].querySelectorAll("button");
      const wanted = to < from ? up : down;
      (wanted.disabled ? (to < from ? down : up) : wanted).focus();
      moved.textContent = `“${item}” is now number ${to + 1} of ${items.length}.`;
    };
    const show = () =>
      list.replaceChildren(...items.map((item, i) =>
        h("li", {},
          h("span", {}, h("span", { class: "lc-muted" }, `${i + 1}. `), inline(item)),
          h("button", { type: "button", "aria-label": `Move up: ${item}`, disabled: i === 0, onclick: () => move(i, i - 1) }, "↑"),
          h("button", { type: "button", "aria-label": `Move down: ${item}`, disabled: i === items.length - 1, onclick: () => move(i, i + 1) }, "↓"))));
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
