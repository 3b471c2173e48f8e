// English to Korean in the page, for the widgets of chapters 4 and 5: the language of
// lmcourse.data.translation, the translators of lmcourse.seq2seq and lmcourse.attention, and the
// field in which a reader builds a sentence.
import { h, newId, live, random, draw, plural, put } from "./common.js";
import { concat, elementwise, layersOf, linear, logSoftmax, row, stack, zeros, gruCell, additiveAttention } from "./forward.js";

export const BOS = "<s>";
export const EOS = "</s>";
export const LONGEST = 60; // words of a sentence; more would not fit a page
const LONGEST_CLAUSE = 17;
const [BOS_ID, EOS_ID] = [0, 1];
const TRANSITIVE = "transitive verb";
const INTRANSITIVE = "intransitive verb";
const SENTENCE_END = "end";
const [FINAL, CONNECTIVE, ADNOMINAL] = [0, 1, 2]; // the forms of a Korean verb, as the lexicon lists them

// ---------------------------------------------------------------------------------------------
// The language. `lexicon` is the trait of this name: { article: [word], adjective and noun:
// [[word, Korean]], both kinds of verb: [[word, final, connective, adnominal]], particle:
// { role: [after a consonant, after a vowel] } }. Lists, because the order of the words is shown.

/** The words of a text, split as Python splits. */
export function wordsOf(text) {
  return text.split(/(?:[^\S\ufeff]|[\x1c-\x1f\x85])+/).filter((word) => word);
}

function dictionary(lexicon) {
  const words = { article: lexicon.article, that: ["that"], and: ["and"] };
  const korean = new Map();
  for (const name of ["adjective", "noun", TRANSITIVE, INTRANSITIVE]) {
    words[name] = lexicon[name].map(([english]) => english);
    for (const [english, ...forms] of lexicon[name]) korean.set(english, forms);
  }
  const category = new Map(Object.entries(words).flatMap(([name, list]) => list.map((word) => [word, name])));
  return { words, korean, category, particle: lexicon.particle };
}

/** The particle after a Korean noun: the last 28 of a syllable's code say its final consonant, 0 none. */
function particleAfter(noun, [afterConsonant, afterVowel]) {
  const final = (noun.codePointAt(noun.length - 1) - "가".codePointAt(0)) % 28;
  return final ? afterConsonant : afterVowel;
}

/** A word in quotes, as Python's repr writes it. */
function quoted(word) {
  const mark = word.includes("'") && !word.includes('"') ? '"' : "'";
  const escaped = word.replace(/[\\\p{C}\p{Z}]/gu, (letter) => {
    if (letter === "\\") return "\\\\";
    const code = letter.codePointAt(0);
    const [kind, size] = code < 256 ? ["x", 2] : code < 65536 ? ["u", 4] : ["U", 8];
    return `\\${kind}${code.toString(16).padStart(size, "0")}`;
  });
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark;
}

/**
 * Reads English from left to right and puts the Korean of each rule together; one method a rule.
 * It notes the noun phrases without their relative clauses (`basics`) and the clauses.
 */
class Reader {
  constructor(words, lexicon) {
    Object.assign(this, { words, language: dictionary(lexicon), position: 0, expected: [], could: [], basics: [], clauses: [] });
  }

  sentence() {
    const korean = [];
    for (;;) {
      const from = this.position;
      const [before, verb] = this.clause();
      this.clauses.push({ from, to: this.position });
      if (!this.sees("and")) {
        this.take(SENTENCE_END);
        return [...korean, ...before, this.verb(verb, FINAL)];
      }
      const joint = this.take("and");
      korean.push(...before, this.verb(verb, CONNECTIVE, joint));
    }
  }

  clause() {
    const subject = this.nounPhrase("topic");
    const verb = this.take(TRANSITIVE, INTRANSITIVE);
    if (this.category(verb) === INTRANSITIVE) return [subject, verb];
    return [[...subject, ...this.nounPhrase("object")], verb];
  }

  nounPhrase(role) {
    const [korean, basic] = this.basic(role, false);
    if (!this.sees("that")) return korean;
    const from = this.position;
    const relative = this.relative();
    basic.relative = { from, to: this.position };
    return [...relative, ...korean];
  }

  basic(role, inner) {
    this.take("article");
    const adjective = this.sees("adjective") ? this.take("adjective") : null;
    const noun = this.take("noun");
    const basic = { adjective, noun, inner, relative: null };
    this.basics.push(basic);
    const korean = this.language.korean.get(this.words[noun])[0];
    const particle = particleAfter(korean, this.language.particle[role]);
    return [
      [
        ...(adjective === null ? [] : [{ text: this.language.korean.get(this.words[adjective])[0], sure: adjective }]),
        { text: korean, sure: noun },
        { text: particle, possible: noun },
      ],
      basic,
    ];
  }

  relative() {
    const that = this.take("that");
    let before = [];
    let verb;
    if (this.sees("article")) {
      [before] = this.basic("subject", true);
      verb = this.take(TRANSITIVE);
    } else {
      verb = this.take(TRANSITIVE, INTRANSITIVE);
      if (this.category(verb) === TRANSITIVE) [before] = this.basic("object", true);
    }
    return [...before, this.verb(verb, ADNOMINAL, that)];
  }

  verb(position, form, possible) {
    return { text: this.language.korean.get(this.words[position])[form], sure: position, possible };
  }

  category(position) {
    return position === this.words.length ? SENTENCE_END : this.language.category.get(this.words[position]);
  }

  sees(...categories) {
    this.expected.push(...categories.filter((name) => !this.expected.includes(name)));
    return categories.includes(this.category(this.position));
  }

  take(...categories) {
    const found = this.sees(...categories);
    this.could = this.expected;
    if (!found) throw new Error(this.complaint());
    this.expected = [];
    this.position += 1;
    return this.position - 1;
  }

  complaint() {
    const { words, position } = this;
    const category = this.category(position);
    const what = !words.length ? "the sentence is empty"
      : category === SENTENCE_END ? `the sentence ends too early, after ${quoted(words.at(-1))}`
        : `${quoted(words[position])} ${category ? "is out of place" : "is no word of this language"}`;
    const could = this.could.map((name) => this.describe(name)).join(" or ");
    return `${what}; at position ${position} could stand ${could} (the first word is at position 0)`;
  }

  describe(category) {
    if (category === SENTENCE_END) return "the end of the sentence";
    const words = this.language.words[category];
    if (words.join() === category) return quoted(category);
    return `${"aeiou".includes(category[0]) ? "an" : "a"} ${category} (${words.join(", ")})`;
  }
}

/**
 * What lmcourse.data.translation.translate gives: { target: Korean tokens, sure and possible: links
 * [source position, target position], nClauses }, and where its parts are: { basics, clauses }.
 * Words that are no sentence of the language throw an Error that says why.
 */
export function translate(words, lexicon) {
  const reader = new Reader(words, lexicon);
  const korean = reader.sentence();
  const links = (kind) => korean.flatMap((word, at) => (Number.isInteger(word[kind]) ? [[word[kind], at]] : []));
  const sure = links("sure");
  return {
    target: korean.map((word) => word.text),
    sure,
    possible: [...sure, ...links("possible")],
    nClauses: reader.clauses.length,
    basics: reader.basics,
    clauses: reader.clauses,
  };
}

/**
 * What a text that is being typed has come to: { words, next: the words that could stand at
 * position `at`, kind }. kind: "sentence", "early" (a beginning of one, or of its next word) or
 * "wrong"; the last two have a `problem`.
 */
export function outlook(text, lexicon) {
  const words = wordsOf(text);
  const reader = new Reader(words, lexicon);
  let problem = null;
  try {
    reader.sentence();
  } catch (error) {
    problem = error.message;
  }
  const next = reader.could.flatMap((name) => reader.language.words[name] ?? []);
  if (problem === null) return { kind: "sentence", words, at: words.length, next };
  const at = reader.position;
  if (at === words.length) return { kind: "early", words, at, next, problem };
  const begun = at === words.length - 1 && text.endsWith(words[at]) ? next.filter((word) => word.startsWith(words[at])) : [];
  return begun.length ? { kind: "early", words, at, next: begun, problem } : { kind: "wrong", words, at, next, problem };
}

/** Korean as one reads it: each particle joined to the word before it. */
export function surface(tokens, lexicon) {
  const particles = Object.values(lexicon.particle).flat();
  const words = [];
  for (const token of tokens) {
    if (particles.includes(token) && words.length) words.push(words.pop() + token);
    else words.push(token);
  }
  return words.join(" ");
}

// ---------------------------------------------------------------------------------------------
// Sentences at random, longer and shorter. The probabilities are those of the training data.

class Writer {
  constructor(lexicon, uniform) {
    this.words = dictionary(lexicon).words;
    this.uniform = uniform;
  }
  one(list) {
    return list[Math.floor(this.uniform() * list.length)];
  }
  word(category) {
    return this.one(this.words[category]);
  }
  basic() {
    return [this.word("article"), ...(this.uniform() < 0.35 ? [this.word("adjective")] : []), this.word("noun")];
  }
  relative() {
    const kind = draw([0.2, 0.4, 0.4], this.uniform());
    if (kind === 0) return ["that", this.word(INTRANSITIVE)];
    return kind === 1 ? ["that", this.word(TRANSITIVE), ...this.basic()] : ["that", ...this.basic(), this.word(TRANSITIVE)];
  }
  nounPhrase() {
    return [...this.basic(), ...(this.uniform() < 0.2 ? this.relative() : [])];
  }
  clause() {
    const subject = this.nounPhrase();
    if (this.uniform() < 0.3) return [...subject, this.word(INTRANSITIVE)];
    return [...subject, this.word(TRANSITIVE), ...this.nounPhrase()];
  }
}

/** The words of a sentence, drawn as the training data are: 1 to 3 clauses, or as many as asked for. */
export function randomSentence(lexicon, uniform, nClauses) {
  const writer = new Writer(lexicon, uniform);
  const clauses = Array.from({ length: nClauses ?? 1 + draw([0.4, 0.35, 0.25], uniform()) }, () => writer.clause());
  return clauses.reduce((sofar, clause) => [...sofar, "and", ...clause]);
}

const inserted = (words, at, more) => [...words.slice(0, at), ...more, ...words.slice(at)];

/** What can be added to a sentence: each gives the longer sentence, or null where nothing fits. */
export const ADDITIONS = {
  "an adjective": (words, lexicon, uniform) => {
    const writer = new Writer(lexicon, uniform);
    const open = translate(words, lexicon).basics.filter((basic) => basic.adjective === null);
    return open.length ? inserted(words, writer.one(open).noun, [writer.word("adjective")]) : null;
  },
  "a relative clause": (words, lexicon, uniform) => {
    const writer = new Writer(lexicon, uniform);
    const open = translate(words, lexicon).basics.filter((basic) => !basic.inner && !basic.relative);
    return open.length ? inserted(words, writer.one(open).noun + 1, writer.relative()) : null;
  },
  "another clause": (words, lexicon, uniform) => [...words, "and", ...new Writer(lexicon, uniform).clause()],
};

/** The sentence without the last part that can be left out; null where none can. */
export function shorter(words, lexicon) {
  const { basics, clauses } = translate(words, lexicon);
  const parts = [
    ...basics.flatMap(({ adjective, relative }) => [
      ...(adjective === null ? [] : [{ from: adjective, to: adjective + 1 }]),
      ...(relative ? [relative] : []),
    ]),
    ...clauses.slice(1).map(({ from, to }) => ({ from: from - 1, to })),
  ];
  if (!parts.length) return null;
  const last = parts.reduce((a, b) => (b.from > a.from ? b : a));
  return [...words.slice(0, last.from), ...words.slice(last.to)];
}

// ---------------------------------------------------------------------------------------------
// The translators, from the tensors of `loadWeights`. With the weights of a score the decoder attends;
// without, its context is the one vector.

export function translator(tensors) {
  const [leftCell, rightCell] = ["forwards", "backwards"].map((side) => layersOf(tensors, `encoder.layers.${side}.cells.0.`));
  const decoder = layersOf(tensors, "decoder.");
  const cell = layersOf(decoder, "cell.");
  const score = "score.vector.weight" in decoder ? layersOf(decoder, "score.") : null;

  function read(inputs, weights) {
    let hidden = zeros([weights.weight_hh.shape[1]]);
    return inputs.map((input) => (hidden = gruCell(input, hidden, weights)));
  }

  /** Token ids -> { memory (source, d_memory), context (d_memory) }: both directions side by side. */
  function encode(source) {
    const inputs = source.map((token) => row(tensors["encoder.embedding.weight"], token));
    const left = read(inputs, leftCell);
    const right = read([...inputs].reverse(), rightCell).reverse();
    return { memory: stack(left.map((hidden, i) => concat(hidden, right[i]))), context: concat(left.at(-1), right[0]) };
  }

  /** The hidden state before the first word. */
  function start(encoded) {
    return elementwise(Math.tanh, linear(encoded.context, decoder["bridge.weight"], decoder["bridge.bias"]));
  }

  /** Reads the word just written: -> { logits of the next, hidden, weights (source) or null }. */
  function step(token, hidden, encoded) {
    const { context, weights } = score
      ? additiveAttention(hidden, encoded.memory, encoded.memory, score)
      : { context: encoded.context, weights: null };
    const next = gruCell(concat(row(decoder["embedding.weight"], token), context), hidden, cell);
    return { logits: linear(concat(next, context), decoder["output.weight"], decoder["output.bias"]), hidden: next, weights };
  }

  function write(source, choose, most) {
    const encoded = encode(source);
    let hidden = start(encoded);
    let token = BOS_ID;
    const steps = [];
    while (steps.length < most && (token !== EOS_ID || !steps.length)) {
      const { logits, hidden: next, weights } = step(token, hidden, encoded);
      const scores = Float64Array.from(logits.data);
      scores[BOS_ID] = -Infinity; // <s> never comes next
      const logProbs = logSoftmax({ shape: logits.shape, data: scores }).data;
      token = choose(logProbs, steps.length);
      hidden = next;
      steps.push({ token, logProb: logProbs[token], logits, weights });
    }
    return { context: encoded.context, steps };
  }

  return {
    encode,
    /** The most probable word at each step, until </s>: { context, steps: [{ token, logProb (nats), logits, weights }] }. */
    greedy: (source, most) => write(source, (logProbs) => logProbs.indexOf(Math.max(...logProbs)), most),
    /** The same with every target token given (teacher forcing). `target` is without <s>. */
    forced: (source, target) => write(source, (_, i) => target[i], target.length),
  };
}

/** A translator that takes and gives words: `vocabularies` is { source, target }, the tokens by id. */
export function speaker(tensors, vocabularies) {
  const { greedy, forced } = translator(tensors);
  const encode = (words, tokens) => words.map((word) => tokens.indexOf(word));
  const source = (words) => encode([BOS, ...words, EOS], vocabularies.source);
  const spoken = ({ context, steps }) => ({
    context,
    steps: steps.map((one) => ({ ...one, text: vocabularies.target[one.token] })),
  });
  return {
    greedy: (words) => spoken(greedy(source(words), 2 * words.length + 10)),
    forced: (words, target) => spoken(forced(source(words), encode([...target, EOS], vocabularies.target))),
  };
}

// ---------------------------------------------------------------------------------------------
// The field

/** Where the weights came from, in one sentence. `facts` is what `factsOf` gives. */
export function origin(model, facts) {
  const steps = facts.steps.toLocaleString("en");
  return `Trained by this chapter's code with seed ${facts.seed} in ${steps} steps: the weights “${model.get("weights_name")}” `
    + `(SHA-256 ${model.get("weights_sha256").slice(0, 8)}…). They run in this page. A short sentence may be one that the model learned from.`;
}

/**
 * A field for a sentence of the language, with what could come next as buttons, and buttons that make
 * the sentence longer or shorter. A whole sentence goes into the trait `sentence`.
 */
export function sentenceField(model) {
  const lexicon = model.get("lexicon");
  const uniform = random(model.get("seed"));
  const message = live("lc-note lc-small");
  message.node.id = newId();
  const field = h("input", {
    type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off",
    "aria-describedby": message.node.id, oninput: () => typed(),
  });
  const nextLabel = h("span", { class: "lc-muted lc-small", id: newId() });
  const addLabel = h("span", { class: "lc-label", id: newId() }, "Add");
  const choices = h("div", { class: "lc-chips lc-words", role: "group", "aria-labelledby": nextLabel.id });
  const change = (name, f) => {
    const button = h("button", {
      type: "button",
      onclick: () => button.getAttribute("aria-disabled") !== "true" && show(f()),
    }, name);
    return button;
  };
  const sentence = () => wordsOf(model.get("sentence"));
  const additions = Object.entries(ADDITIONS).map(([name, add]) => {
    const fits = () => sentence().length + LONGEST_CLAUSE < LONGEST && add(sentence(), lexicon, () => 0) !== null;
    return { button: change(name, () => add(sentence(), lexicon, uniform)), fits };
  });
  const remove = { button: change("Remove a part", () => shorter(sentence(), lexicon)), fits: () => shorter(sentence(), lexicon) !== null };
  const anew = change("A sentence at random", () => randomSentence(lexicon, uniform));

  function show(words) {
    field.value = words.join(" ");
    typed();
  }

  function typed() {
    const seen = outlook(field.value.toLowerCase(), lexicon);
    const tooLong = seen.words.length > LONGEST;
    const whole = seen.kind === "sentence" && !tooLong;
    if (tooLong) message.say(`✗ ${seen.words.length} words: at most ${LONGEST} fit here.`);
    else if (whole) message.say(`✓ A sentence of this language: ${plural(seen.words.length, "word")}.`);
    else message.say(seen.kind === "early" ? `… ${seen.problem}` : `✗ ${seen.problem}`);
    const wrong = tooLong || seen.kind === "wrong";
    field.setAttribute("aria-invalid", wrong);
    message.node.classList.toggle("lc-tr-bad", wrong);
    nextLabel.textContent = seen.kind === "wrong" ? `Instead of “${seen.words[seen.at]}” could stand:` : "What could come next:";
    choices.replaceChildren(...(tooLong ? [] : seen.next.map((word) => h("button", { type: "button", onclick: () => choose(seen, word) }, word))));
    if (whole) put(model, { sentence: seen.words.join(" ") });
    for (const { button, fits } of [...additions, remove]) button.setAttribute("aria-disabled", !(whole && fits()));
  }

  function choose(seen, word) {
    const text = [...seen.words.slice(0, seen.at), word, ...seen.words.slice(seen.at + 1)].join(" ");
    field.value = seen.at >= seen.words.length - 1 ? `${text} ` : text;
    typed();
    (choices.querySelector("button") ?? field).focus({ preventScroll: true });
  }

  model.on("change:sentence", () => {
    if (wordsOf(field.value.toLowerCase()).join(" ") !== model.get("sentence")) show(sentence());
  });
  show(sentence());
  return h(
    "div",
    { class: "lc-part" },
    h("label", { class: "lc-field lc-tr-field" }, "An English sentence", field),
    message.node,
    h("p", { style: "margin-top:.4rem" }, nextLabel),
    choices,
    h("div", { class: "lc-row lc-gap lc-tr-longer" },
      h("div", { class: "lc-row", role: "group", "aria-labelledby": addLabel.id }, addLabel, additions.map(({ button }) => button)),
      h("div", { class: "lc-row" }, remove.button, anew)),
  );
}
