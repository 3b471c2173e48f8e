// What a reader types in the teaching language: its words, and what is wrong with it.

export const BOS = "<s>";
export const EOS = "</s>";
export const MOST_WORDS = 60;

/** The words of a line; a comma may touch its neighbour. */
export function wordsOf(text) {
  return text.replaceAll(",", " , ").split(/\s+/).filter((word) => word);
}

/** How many letters must be put in, left out or changed to make one word of the other. */
function editDistance(a, b) {
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const line = [i];
    for (let j = 1; j <= b.length; j += 1)
      line.push(Math.min(above[j] + 1, line[j - 1] + 1, above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    above = line;
  }
  return above[b.length];
}

/** What may help after an unknown word: which mark to leave out, or up to three words that are spelled nearly like it. */
export function hintOf(word, vocabulary) {
  if (word.includes(".")) return "Leave the full stop out: the teaching language has none.";
  const typed = word.slice(0, 40);
  const isName = (one) => one !== one.toLowerCase();
  const third = Math.max(1, Math.floor(typed.length / 3)); // so many letters may differ; of a name for a small word, one
  const near = vocabulary
    .map((known) => ({ known, far: editDistance(typed.toLowerCase(), known.toLowerCase()) }))
    .filter(({ known, far }) => far <= (isName(known) && !isName(typed) ? 1 : third))
    .sort((a, b) => a.far - b.far)
    .slice(0, 3)
    .map(({ known }) => known);
  return near.length ? `Near it: ${near.join(", ")}.` : "All of them are listed below.";
}

/**
 * What a typed text means: { words, partial, problem }. `words` are those up to the first that the
 * model does not know; large and small letters are the same. `partial` is the last word where it is
 * only the beginning of one. `problem` is a sentence, or empty; while the reader is typing, a
 * beginning is none.
 */
export function understand(text, vocabulary, typing = false, most = MOST_WORDS) {
  const typed = wordsOf(text);
  const words = [];
  for (const [i, word] of typed.entries()) {
    const small = word.toLowerCase();
    const known = vocabulary.find((one) => one === word) ?? vocabulary.find((one) => one.toLowerCase() === small);
    if (known) {
      words.push(known);
      continue;
    }
    const begun = i === typed.length - 1 && !/\s$/.test(text) && vocabulary.some((one) => one.toLowerCase().startsWith(small));
    return {
      words,
      partial: begun ? word : "",
      problem: begun && typing ? "" : `“${word.slice(0, 40)}” is none of the ${vocabulary.length} words of the teaching language. ${hintOf(word, vocabulary)}`,
    };
  }
  let problem = words.length ? "" : "Type a word, or choose an example.";
  if (words.length > most) problem = `These are ${words.length} words: at most ${most} can be read.`;
  return { words, partial: "", problem };
}
