// Shannon's guessing game (1951): guess the next symbol until it is right. Models play the same game
// on the same symbols, from their distributions. Many numbers of guesses bound the text's entropy.
import { h, s, frame, live, digits, plural, put } from "./common.js";

export const EOS = "</s>";
export const END = "\n"; // the end of a sentence as a letter
const ENOUGH = 50; // symbols; bounds from fewer say more about luck than about the text

/** What is spelled for a word: its letters and a space; the end is one symbol. */
export function spell(word) {
  return word === EOS ? [END] : [...word.toLowerCase(), " "];
}

/** Every letter that occurs, the end first. */
export function alphabet(vocabulary) {
  const letters = new Set(vocabulary.flatMap(spell));
  letters.delete(END);
  return [END, ...[...letters].sort()];
}

/** The symbols of a sentence: { symbol, word: index of its word, spelled: letters of it before }. */
export function symbolsOf(sentence, unit) {
  const words = [...sentence.split(/\s+/).filter((word) => word), EOS];
  if (unit === "words") return words.map((symbol, word) => ({ symbol, word, spelled: "" }));
  return words.flatMap((token, word) =>
    spell(token).map((symbol, i, all) => ({ symbol, word, spelled: all.slice(0, i).join("") })),
  );
}

/** A sparse list [index, probability, index, probability, ...] as one number a word; what it leaves
 * of the whole is shared evenly by the words it does not list. */
export function dense(sparse, size) {
  const probs = new Array(size).fill(null);
  let total = 0;
  for (let i = 0; i < sparse.length; i += 2) {
    probs[sparse[i]] = sparse[i + 1];
    total += sparse[i + 1];
  }
  const others = size - sparse.length / 2;
  const rest = others ? Math.max(0, 1 - total) / others : 0;
  const sum = total + rest * others;
  return probs.map((p) => (p ?? rest) / sum);
}

/** A model's distribution over words at one place, as an array beside the vocabulary. */
function wordProbs(model, vocabulary, sentence, word) {
  if (model.kind === "uniform") return vocabulary.map(() => 1 / vocabulary.length);
  const row = model.kind === "constant" ? model.probs : model.table[model.probs[sentence][word]];
  return dense(row, vocabulary.length);
}

/** Probabilities of the next letter, given how each word is spelled and the letters before. */
export function letterProbs(vocabulary, probs, spelled, letters) {
  const mass = new Map(letters.map((letter) => [letter, 0]));
  let total = 0;
  vocabulary.forEach((word, i) => {
    const text = spell(word);
    if (!probs[i] || text.slice(0, spelled.length).join("") !== spelled) return;
    mass.set(text[spelled.length], mass.get(text[spelled.length]) + probs[i]);
    total += probs[i];
  });
  return letters.map((letter) => (total ? mass.get(letter) / total : 0));
}

/**
 * What a model says about one symbol: a distribution beside `symbols` (the vocabulary or the
 * alphabet). A model without context has letter frequencies of its own, whatever was spelled.
 */
export function distribution(model, game, place, sentence) {
  const { vocabulary, unit, symbols } = game;
  if (model.kind === "uniform") return symbols.map(() => 1 / symbols.length);
  const probs = wordProbs(model, vocabulary, sentence, place.word);
  if (unit === "words") return probs;
  if (model.kind === "contextual") return letterProbs(vocabulary, probs, [...place.spelled].join(""), symbols);
  const expected = new Map(symbols.map((letter) => [letter, 0]));
  let length = 0;
  vocabulary.forEach((word, i) => {
    for (const letter of spell(word)) {
      expected.set(letter, expected.get(letter) + probs[i]);
      length += probs[i];
    }
  });
  return symbols.map((letter) => expected.get(letter) / length);
}

/** Adds one guessed symbol to counts of ranks: it was somewhere among `tied` equal guesses. */
export function addRank(counts, first, tied = 1) {
  for (let rank = first; rank < first + tied; rank += 1) counts[rank - 1] = (counts[rank - 1] ?? 0) + 1 / tied;
}

/** Which guess is right when the likeliest symbol is guessed first: { first, tied }. */
export function rankOf(probs, index) {
  const p = probs[index];
  const near = (q) => Math.abs(q - p) <= 1e-9;
  return {
    first: 1 + probs.filter((q) => q > p && !near(q)).length,
    tied: probs.filter(near).length,
  };
}

/** Shannon's (1951) bounds on the text's entropy, from how often the 1st, 2nd, ... guess was right. */
export function bounds(counts) {
  const all = Array.from(counts, (value) => value ?? 0);
  const total = all.reduce((sum, value) => sum + value, 0);
  const shares = all.map((value) => value / total).sort((a, b) => b - a);
  let lower = 0;
  let upper = 0;
  shares.forEach((share, i) => {
    if (share > 0) upper += share * Math.log2(1 / share);
    lower += (i + 1) * (share - (shares[i + 1] ?? 0)) * Math.log2(i + 1);
  });
  return { lower, upper };
}

function summary(name, counts, bits) {
  const total = counts.reduce((sum, value) => sum + (value ?? 0), 0);
  return {
    name,
    guesses: counts.reduce((sum, value, i) => sum + (i + 1) * (value ?? 0), 0) / total,
    first: (counts[0] ?? 0) / total,
    ...bounds(counts),
    bits,
  };
}

/** The rows of the result: the reader first, then every model on the same symbols. */
export function results(game, models, guesses) {
  const mine = [];
  const size = game.symbols.length;
  for (const guess of guesses) {
    if (guess.revealed) addRank(mine, guess.guesses + 1, size - guess.guesses);
    else addRank(mine, guess.guesses);
  }
  const rows = [summary("You", mine, null)];
  for (const model of models) {
    const counts = [];
    let bits = 0;
    for (const guess of guesses) {
      const place = symbolsOf(game.sentences[guess.sentence], game.unit)[guess.position];
      const probs = distribution(model, game, place, guess.sentence);
      const index = game.symbols.indexOf(place.symbol);
      const { first, tied } = rankOf(probs, index);
      addRank(counts, first, tied);
      bits -= Math.log2(probs[index]);
    }
    rows.push(summary(model.name, counts, bits / guesses.length));
  }
  return rows;
}

/** What a typed text means: { symbol }, or { problem: a sentence }. */
export function find(typed, symbols, missed = new Set()) {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return { problem: "Type a word or press one below." };
  if (wanted === "." || wanted === EOS) return { symbol: EOS };
  const open = symbols.filter((symbol) => symbol !== EOS);
  const same = open.find((symbol) => symbol.toLowerCase() === wanted);
  if (same) return { symbol: same };
  const starts = open.filter((symbol) => symbol.toLowerCase().startsWith(wanted) && !missed.has(symbol));
  if (starts.length === 1) return { symbol: starts[0] };
  const some = starts.length
    ? `${starts.length} words begin with “${wanted}”: type more, or press one.`
    : `“${wanted}” is none of the ${symbols.length} words.`;
  return { problem: `${some} (Not counted.)` };
}

/** In the published page the browser keeps the game; in Jupyter the kernel has it. */
function keep(model) {
  const key = `lmcourse:shannon_game:${model.get("sentences")[0]}`;
  if (model.send) return { load() {}, save() {} };
  const game = () => JSON.stringify(model.get("sentences"));
  return {
    load() {
      try {
        const { sentences, unit, sentence, guesses } = JSON.parse(localStorage.getItem(key)) ?? {};
        if (sentences === game()) put(model, { unit, sentence, guesses });
      } catch {
        // Nothing kept, or nothing that can be read.
      }
    },
    save() {
      const [unit, sentence, guesses] = ["unit", "sentence", "guesses"].map((name) => model.get(name));
      try {
        localStorage.setItem(key, JSON.stringify({ sentences: game(), unit, sentence, guesses }));
      } catch {
        // Private browsing or a full store: nothing is kept.
      }
    },
  };
}

// ---------------------------------------------------------------------------------------------
// Drawing

function label(symbol) {
  if (symbol === EOS || symbol === END) return "⏎ end";
  return symbol === " " ? "␣ space" : symbol;
}
function onTape(symbol) {
  if (symbol === EOS || symbol === END) return "⏎";
  return symbol === " " ? "␣" : symbol;
}
function said(symbol) {
  if (symbol === EOS || symbol === END) return "the end of the sentence";
  return symbol === " " ? "a space" : `“${symbol}”`;
}

function render({ model, el }) {
  const root = frame(el, "Shannon's guessing game", "Guess what comes next, until you are right. The models guess the same symbols.");
  const kept = keep(model);
  let game; // what is played: { vocabulary, unit, symbols, sentences }
  let missed = new Set(); // wrong guesses at the current place
  let buttons = new Map();

  const feedback = live();
  const tape = h("ol", { class: "lc-tape", "aria-label": "The sentence so far, with your number of guesses under each symbol" });
  const field = h("input", {
    type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    oninput: () => typed(),
    onkeydown: (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      submit();
    },
  });
  const fieldLabel = h("span", {});
  const send = h("button", { type: "button", class: "lc-primary", onclick: () => submit() }, "Guess");
  const reveal = h("button", { type: "button", onclick: () => finish(true) }, "Reveal");
  const next = h("button", { type: "button", onclick: () => nextSentence() }, "Next sentence");
  const again = h("button", { type: "button", onclick: () => startAgain() }, "Start again");
  const choices = h("div", { class: "lc-chips lc-words", role: "group", "aria-label": "What it can be" });
  const result = h("div", {});
  const detail = h("div", {});
  const resultText = live("lc-said");
  const units = ["words", "letters"].map((unit) =>
    h("input", { type: "radio", name: `unit-${Math.random()}`, value: unit, onchange: () => put(model, { unit }) }));
  units[1].name = units[0].name;
  const examples = model.get("examples");

  root.append(
    h("div", { class: "lc-row lc-gap", style: "margin-top:.7rem", role: "radiogroup", "aria-label": "What to guess" },
      h("span", { class: "lc-label" }, "Guess"),
      units.map((input) => h("label", { class: "lc-row", style: "font-weight:400;gap:.35rem" }, input, input.value))),
    examples.length
      ? h("details", { style: "border:0;padding:0;margin-top:.6rem" },
          h("summary", {}, "A few sentences of this language first"),
          h("ul", { class: "lc-small", style: "padding-left:1.2rem" }, examples.map((line) => h("li", {}, line))))
      : null,
    tape,
    feedback.node,
    h("div", { class: "lc-row lc-end", style: "margin-top:.6rem" },
      h("label", { class: "lc-field" }, fieldLabel, field), send, reveal, next, again),
    h("p", { class: "lc-muted lc-small", style: "margin-top:.3rem" }, "Reveal counts as if you guessed the rest at random."),
    choices,
    result,
    resultText.node,
    detail,
  );

  const guesses = () => model.get("guesses");
  const sentence = () => model.get("sentence");
  const places = () => symbolsOf(game.sentences[sentence()], game.unit);
  const done = () => guesses().filter((guess) => guess.sentence === sentence());
  const place = () => places()[done().length];
  const unitName = () => (game.unit === "words" ? "word" : "letter");

  function begin() {
    const vocabulary = model.get("vocabulary");
    const unit = model.get("unit");
    game = {
      vocabulary,
      unit,
      sentences: model.get("sentences"),
      symbols: unit === "words" ? vocabulary : alphabet(vocabulary),
    };
    units.forEach((input) => (input.checked = input.value === unit));
    const listed = [...game.symbols].sort((a, b) =>
      (b === EOS || b === END) - (a === EOS || a === END) || (b === " ") - (a === " ") || a.localeCompare(b, "en"));
    buttons = new Map(listed.map((symbol) => [symbol, h("button", { type: "button", onclick: () => guess(symbol) }, label(symbol))]));
    choices.replaceChildren(...buttons.values());
    fieldLabel.textContent = unit === "words" ? "Your guess (a word, or . for the end)" : "Your guess (a small letter, a space after each word, Enter for the end)";
    send.hidden = unit === "letters";
    field.value = "";
    show();
  }

  function typed() {
    if (game.unit === "letters") {
      const letter = [...field.value.toLowerCase()].at(-1);
      field.value = "";
      if (letter === undefined) return;
      if (game.symbols.includes(letter)) guess(letter);
      else feedback.say(`“${letter}” is not one of the ${game.symbols.length} letters.`);
      return;
    }
    filter();
  }

  function filter() {
    const wanted = field.value.trim().toLowerCase();
    for (const [symbol, button] of buttons)
      button.hidden = game.unit === "words" && wanted !== "" && wanted !== "." && !symbol.toLowerCase().startsWith(wanted);
  }

  function submit() {
    if (!place()) return nextSentence();
    if (game.unit === "letters") return guess(END);
    const { symbol, problem } = find(field.value, game.symbols, missed);
    return symbol ? guess(symbol) : feedback.say(problem);
  }

  function guess(symbol) {
    if (!place()) return;
    field.value = "";
    filter();
    if (missed.has(symbol)) return feedback.say(`You have tried ${said(symbol)} already.`);
    if (symbol === place().symbol) return finish(false);
    missed.add(symbol);
    feedback.say(`Not ${said(symbol)}. ${plural(missed.size, "wrong guess", "wrong guesses")} so far.`);
    showChoices();
  }

  function finish(revealed) {
    const { symbol } = place();
    const count = missed.size + (revealed ? 0 : 1);
    const grammar = model.get("models").filter((one) => one.kind === "contextual")[0];
    let aside = "";
    if (grammar) {
      const p = distribution(grammar, game, place(), sentence())[game.symbols.indexOf(symbol)];
      aside = ` The ${grammar.name} gave it ${digits(p, 2)}.`;
    }
    missed = new Set();
    field.value = "";
    put(model, { guesses: [...guesses(), { sentence: sentence(), position: done().length, symbol: symbol === END ? EOS : symbol, guesses: count, revealed }] });
    const complete = place() ? "" : " The sentence is complete.";
    feedback.say(`${revealed ? `It was ${said(symbol)}.` : `Right: ${said(symbol)}, after ${plural(count, "guess", "guesses")}.`}${aside}${complete}`);
  }

  function nextSentence() {
    // Into the next sentence that is not complete; what was guessed stays counted.
    missed = new Set();
    const total = game.sentences.length;
    for (let ahead = 1; ahead <= total; ahead += 1) {
      const index = (sentence() + ahead) % total;
      const guessed = guesses().filter((one) => one.sentence === index).length;
      if (guessed < symbolsOf(game.sentences[index], game.unit).length) {
        put(model, { sentence: index });
        show();
        field.focus({ preventScroll: true });
        return feedback.say(`Sentence ${index + 1} of ${total}.`);
      }
    }
    return feedback.say("All sentences are guessed. Start again to play once more.");
  }

  function startAgain() {
    missed = new Set();
    put(model, { guesses: [], sentence: 0 });
    show();
    feedback.say(`Which ${unitName()} comes first?`);
  }

  function showChoices() {
    for (const [symbol, button] of buttons) {
      const wrong = missed.has(symbol);
      button.classList.toggle("lc-missed", wrong);
      if (wrong) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
  }

  function showTape() {
    const items = done().map((guess) => {
      const symbol = places()[guess.position].symbol;
      const number = guess.revealed ? "–" : String(guess.guesses);
      return h("li", { class: guess.guesses === 1 && !guess.revealed ? "lc-first" : undefined },
        h("span", {}, onTape(symbol)), h("small", {}, number));
    });
    if (place()) items.push(h("li", { class: "lc-gap-here" }, h("span", {}, "?"), h("small", {}, "\u00a0")));
    tape.replaceChildren(...items);
    tape.classList.toggle("lc-letters", game.unit === "letters");
  }

  function showResult() {
    const count = guesses().length;
    if (!count) {
      result.replaceChildren();
      detail.replaceChildren();
      resultText.say("");
      return;
    }
    const rows = results(game, model.get("models"), guesses());
    const [you, ...others] = rows;
    const unit = unitName();
    const most = Math.max(...rows.map((row) => row.guesses));
    const bar = (row) =>
      s("svg", { viewBox: "0 0 100 22", width: "100%", height: 22, preserveAspectRatio: "none", "aria-hidden": "true" },
        s("rect", { width: (100 * row.guesses) / most, y: 5, height: 12, fill: `var(${row === you ? "--lc-warm" : "--lc-accent"})`, opacity: 0.8 }));
    const score = (row) => `${row.guesses.toFixed(1)} ${row.guesses === 1 ? "guess" : "guesses"}`;
    result.replaceChildren(
      h("p", { class: "lc-label lc-part" }, `After ${plural(count, unit)}: guesses a ${unit}`),
      h("div", { class: "lc-bars", role: "img", "aria-label": rows.map((row) => `${row.name}: ${score(row)}`).join("; ") },
        rows.map((row) => h("div", {}, h("span", {}, row.name), h("span", { class: "lc-number" }, row.guesses.toFixed(1)), bar(row)))),
    );
    const enough = count >= ENOUGH;
    const columns = [`guesses a ${unit}`, "right at once", ...(enough ? ["entropy of the text"] : []), "own bits"];
    const cells = (row) => [
      row.guesses.toFixed(1),
      `${Math.round(100 * row.first)} %`,
      ...(enough ? [`${row.lower.toFixed(2)} – ${row.upper.toFixed(2)}`] : []),
      row.bits === null ? "–" : Number.isFinite(row.bits) ? row.bits.toFixed(2) : "∞",
    ];
    detail.replaceChildren(
      h("div", { class: "lc-scroll lc-part", tabindex: 0, role: "region", "aria-label": "Result as a table" },
        h("table", { class: "lc-result" },
          h("thead", {}, h("tr", {},
            h("th", { scope: "col", class: "lc-left" }, "who"),
            columns.map((cell) => h("th", { scope: "col" }, cell)))),
          h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), cells(row).map((cell) => h("td", {}, cell))))))),
      h("p", { class: "lc-muted lc-small", style: "margin-top:.5rem" },
        "The models guess the likeliest first, and equals in random order. ",
        `Own bits: the mean of −log₂ p of what came, in bits a ${unit}. A guess has no probability, so you have none. `,
        enough
          ? "How often the 1st, 2nd, 3rd … guess was right bounds the entropy of the text (Shannon 1951): the upper bound holds for every player, the lower one for those who always guess in the order of the true probabilities. From so few symbols both are rough. A model's own bits may lie above: its order can be good where its probabilities are not."
          : `Shannon's bounds on the entropy come after ${ENOUGH} ${unit}s; so far ${count}.`),
    );
    const best = others.reduce((a, b) => (b.guesses < a.guesses ? b : a));
    resultText.say(`You: ${score(you)} a ${unit}. Best model here: ${best.name}, ${score(best)}.`);
  }

  function show() {
    showTape();
    showChoices();
    filter();
    const over = !place();
    for (const control of [reveal, send]) control.disabled = over;
    for (const button of buttons.values()) button.disabled = over;
    next.classList.toggle("lc-primary", over);
    showResult();
    kept.save();
    if (over && (document.activeElement === document.body || root.contains(document.activeElement))) next.focus({ preventScroll: true });
  }

  kept.load();
  model.on("change:unit", () => {
    missed = new Set();
    put(model, { guesses: [], sentence: 0 });
    begin();
    feedback.say(`Which ${unitName()} comes first?`);
  });
  model.on("change:guesses", show);
  model.on("change:sentence", show);
  begin();
  feedback.say(`Which ${unitName()} comes first?`);
}

export default { render };
