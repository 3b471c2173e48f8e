"""Exercises of chapter 9: what pieces belong together, and what both sides say about a blank."""

import math

import torch

from lmcourse.exercises import (
    Choice,
    CodeExercise,
    Misconception,
    Number,
    Option,
    Order,
    Predict,
    WrongAnswer,
)

# ------------------------------------------------------------------------------------ quizzes

_CUT = "cut the texts into pieces, put `[CLS]` and `[SEP]` round each, fill up with `[PAD]`"
_CHOOSE = "choose some places, none of them with a special piece"
_HIDE = "at most of the chosen places, write `[MASK]` or a random piece"
_READ = "the encoder reads what is there now: one vector for each place"
_KEEP = "take the vectors of the chosen places only"
_SCORE = "the head: one logit for every piece of the vocabulary"
_COMPARE = "the loss: minus log P of the pieces that stood there at first"

one_step = Order(
    name="bert.one_step",
    title="One step of the pre-training",
    minutes=2,
    difficulty=1,
    question="A masked language model is trained on a few texts. Put the steps in order.",
    items=(_CUT, _CHOOSE, _HIDE, _READ, _KEEP, _SCORE, _COMPARE),
    why=(
        "The places are chosen anew each time a text comes. The encoder must read *all* places: "
        "the visible pieces are the hint. Only then are most vectors left aside, before the head, "
        "which is the costly part."
    ),
    wrong=(
        WrongAnswer(
            (_CUT, _CHOOSE, _KEEP, _HIDE, _READ, _SCORE, _COMPARE),
            "There are no vectors yet at that time.",
        ),
        WrongAnswer(
            (_CUT, _CHOOSE, _HIDE, _KEEP, _READ, _SCORE, _COMPARE),
            "If the encoder read the chosen places only, it would see almost nothing but `[MASK]`. "
            "It reads all places; *then* the chosen ones are taken.",
        ),
        WrongAnswer(
            (_CUT, _CHOOSE, _HIDE, _READ, _SCORE, _KEEP, _COMPARE),
            "The head makes logits, and then there is no vector left to take. It is also a matter "
            "of price: take the vectors first, and most logits need never be computed.",
        ),
        WrongAnswer(
            (_CUT, _CHOOSE, _READ, _HIDE, _KEEP, _SCORE, _COMPARE),
            "Then the encoder has seen the pieces that it should guess.",
        ),
        WrongAnswer(
            (_CHOOSE, _CUT, _HIDE, _READ, _KEEP, _SCORE, _COMPARE),
            "A place is the place of a piece. Before the texts are cut there are no pieces.",
        ),
        WrongAnswer(
            (_CUT, _HIDE, _CHOOSE, _READ, _KEEP, _SCORE, _COMPARE),
            "What is hidden stands at chosen places. So these are chosen first.",
        ),
    ),
)

into_pieces = Predict(
    name="bert.into_pieces",
    title="The longest piece first",
    minutes=4,
    difficulty=2,
    question="`cut_word` is the one of the chapter. What does this print?",
    code=(
        "from lmcourse.tokenizers import cut_word\n"
        "\n"
        'vocabulary = {"un", "unt", "##tie", "##ties", "##ie", "##s"}\n'
        'for word in ("unties", "untied", "ties", "unun"):\n'
        "    print(cut_word(word, vocabulary))"
    ),
    why=(
        "`unt` is longer than `un`, so it is taken, and nobody looks back. That costs `unties` a "
        "third piece. In `untied` a `d` is left. `ties` has no piece to begin with: `##ties` is "
        "another piece than `ties`. And the second `un` of `unun` would have to be `##un`. A word "
        "without a cut becomes `[UNK]`. That is why a trained vocabulary holds every single "
        "character, with `##` and without."
    ),
    wrong=(
        WrongAnswer(
            "['un', '##ties']\nNone\nNone\nNone",
            "Those are the fewest pieces. But the longest piece at the *beginning* is taken first, "
            "and that is `unt`.",
        ),
        WrongAnswer(
            "['unt', '##ie', '##s']\n['unt', '##ie', '[UNK]']\nNone\nNone",
            "A rest that fits no piece makes the whole word fail.",
        ),
        WrongAnswer(
            "['unt', '##ie', '##s']\n['unt', '##ie', '##d']\nNone\nNone",
            "`##d` is not in the vocabulary. So the whole word fails.",
        ),
        WrongAnswer(
            "['unt', '##ie', '##s']\n['unt', '##ie']\nNone\nNone",
            "The `d` cannot be left out: the pieces must make up the whole word.",
        ),
        WrongAnswer(
            "['unt', '##ie', '##s']\nNone\n['##ties']\nNone",
            "`##ties` only goes on with a word. `ties` is the beginning of one.",
        ),
        WrongAnswer(
            "['unt', '##ie', '##s']\nNone\nNone\n['un', 'un']",
            "Without `##` a piece is the beginning of a word. The second `un` is not.",
        ),
        WrongAnswer(
            "['unt', '##ie', '##s']\nNone\nNone\n['un', '##un']",
            "`##un` is not in the vocabulary. `un` is another piece.",
        ),
        WrongAnswer(
            "['unt', '##ie', '##s']\n[UNK]\n[UNK]\n[UNK]",
            "The right cuts. But `cut_word` says `None` where it finds none; `[UNK]` is made of it "
            "by the tokenizer.",
        ),
        WrongAnswer(
            '["unt", "##ie", "##s"]\nNone\nNone\nNone',
            "The right cuts. Python prints a list of texts with single quotes: write `'unt'`.",
        ),
        WrongAnswer(
            "[unt, ##ie, ##s]\nNone\nNone\nNone",
            "The right cuts. Python prints the texts of a list in single quotes: write `'unt'`.",
        ),
        WrongAnswer(
            "['un', '##tie', '##s']\nNone\nNone\nNone",
            "The first piece is the longest one that the word begins with: `unt`.",
        ),
    ),
)

rare_together = Predict(
    name="bert.rare_together",
    title="Which two are joined next?",
    minutes=5,
    difficulty=2,
    question=(
        "Three words, with their counts, are still cut into single characters. Two ways to choose "
        "the pair that is joined next: by its count, or by a score that divides the count by the "
        "counts of its two parts. What does this print?"
    ),
    code=(
        "from collections import Counter\n"
        "from itertools import pairwise\n"
        "\n"
        "pieces, pairs = Counter(), Counter()\n"
        'for word, count in {"that": 6, "thin": 4, "quit": 2}.items():\n'
        '    cut = [word[0]] + ["##" + letter for letter in word[1:]]\n'
        "    for piece in cut:\n"
        "        pieces[piece] += count\n"
        "    for pair in pairwise(cut):\n"
        "        pairs[pair] += count\n"
        "\n"
        "\n"
        "def score(pair):\n"
        "    left, right = pair\n"
        "    return pairs[pair] / (pieces[left] * pieces[right])\n"
        "\n"
        "\n"
        "print(*max(pairs, key=pairs.get))\n"
        "print(*max(pairs, key=score))\n"
        "print(max(map(score, pairs)))"
    ),
    why=(
        "`t ##h` stands there 6 + 4 = 10 times, more often than any other pair. Its score is "
        "10 / (10 * 10) = 0.1. `q ##u` is rare, but never apart: 2 / (2 * 2) = 0.5. So the score "
        "spends the next piece of the vocabulary on two words of twelve, the count on ten."
    ),
    wrong=(
        WrongAnswer(
            "t ##h\nt ##h\n0.1",
            "`t` and `##h` are always together, but so are `q` and `##u`. There the score divides "
            "by 2 * 2, not by 10 * 10.",
        ),
        WrongAnswer(
            "q ##u\nt ##h\n0.1",
            "The other way round. The count is greatest for the frequent pair.",
        ),
        WrongAnswer(
            "t ##h\nq ##u\n1.0",
            "Each word counts as often as it stands there: `quit` twice. 2 / (2 * 2).",
        ),
        WrongAnswer(
            "t h\nq u\n0.5",
            "The right pairs. The second of a pair goes on with a word, so it begins with `##`.",
        ),
        WrongAnswer(
            "th\nqu\n0.5",
            "The right pairs. But they are printed as two pieces: they are not joined yet.",
        ),
        WrongAnswer(
            "t ##h\n##u ##i\n0.5",
            "`##i` also stands in `thin`: 2 / (2 * 6). `q ##u` has a higher score.",
        ),
    ),
)

reach_of_both_sides = Number(
    name="bert.reach_of_both_sides",
    title="How far does a changed word reach?",
    minutes=4,
    difficulty=2,
    question=(
        "A 4-gram model (it sees three words to the left) fills blanks with both sides in view: it "
        "puts every word of the vocabulary into the blank, and takes the one that makes the whole "
        "sentence most probable. In a sentence of 20 words we change word number 10. Then each "
        "*other* word gets its turn as the blank. At how many of these 19 places can the "
        "probabilities of the blank have changed?"
    ),
    answer=6,
    tolerance=0.1,
    unit="places",
    why=(
        "A word in the blank counts in its own factor of the chain rule, which sees 3 words to the "
        "left, and in the 3 factors after it. These see nothing beyond 3 words to the right. So a "
        "blank knows 3 words on each side: 2 * 3 = 6. In BERT it is 19, in one block: every "
        "place attends to every other."
    ),
    wrong=(
        WrongAnswer(
            3,
            "That is one side. A word that stands *before* the changed one is in its past, too: "
            "the changed word becomes more or less probable after it.",
        ),
        WrongAnswer(
            7,
            "The changed word itself is no blank here. Asked for are the other places.",
        ),
        WrongAnswer(
            8,
            "A 4-gram is a word and the 3 before it. So it reaches 3 to each side, not 4.",
        ),
        WrongAnswer(
            4, "A 4-gram is a word and the 3 before it; and there are two sides."
        ),
        WrongAnswer(
            19,
            "The probability of the whole sentence has changed. But a blank compares sentences "
            "that differ in one word only: all factors without that word are the same in all of "
            "them, and cancel.",
        ),
        WrongAnswer(
            13,
            "You let the change reach all places after it. A 4-gram model forgets after 3 words.",
        ),
        WrongAnswer(
            9,
            "Those are all the places before the changed word. Only the 3 nearest share a factor "
            "with it: a factor is a word and the 3 before it. The places *behind* count as well.",
        ),
        WrongAnswer(
            10,
            "Those are all the words behind the changed one. A 4-gram model forgets after 3 words. "
            "And the places *before* it count as well.",
        ),
        WrongAnswer(
            20,
            "That is every place. The changed word itself is no blank here. And a blank that is "
            "far away shares no factor with it.",
        ),
        WrongAnswer(
            2, "Those are the neighbours: a bigram model. This one sees 3 words back."
        ),
        WrongAnswer(
            12,
            "The factor of a later word sees 3 words back, so it may see the blank and the changed "
            "word. But these two are then at most 3 apart.",
        ),
    ),
)

always_a_blank = Choice(
    name="bert.always_a_blank",
    title="Only ever [MASK]",
    minutes=3,
    difficulty=2,
    question=(
        "Somebody writes `[MASK]` at *all* chosen places, in place of 80/10/10. Suppose that this "
        "model fills blanks no worse. Now the vectors of the encoder are used to label each word "
        "of a sentence, noun or verb. There is no `[MASK]` any more. What may have been lost?"
    ),
    options=(
        Option(
            "what the vector at a visible word says about that word itself",
            correct=True,
            why=(
                "The loss looks at the chosen places only. If all of them hold `[MASK]`, the "
                "vector at a visible word need only help the others; nobody ever asks it which "
                "piece belongs there. With 80/10/10 any visible piece may be one that is asked "
                "for, and may be wrong. So each vector must always say what belongs in its place. "
                "(In the comparison of Devlin et al. this mattered most where the vectors were "
                "used as they are. Fine-tuning repairs much of it.)"
            ),
        ),
        Option(
            "the vectors of the pieces that were hidden: these were never read",
            why=(
                "A piece is hidden in one sentence and visible in others. And the places are "
                "chosen anew each time."
            ),
        ),
        Option(
            "the positions: without `[MASK]` the words stand elsewhere",
            why="`[MASK]` stood in the place of one piece. No position moves.",
        ),
        Option(
            "nothing: the labels train all weights anew",
            why=(
                "Then pre-training would be of no use at all. With few labels the weights stay "
                "near where they begin. And if the vectors are used as they are, no weight of the "
                "encoder is trained."
            ),
        ),
    ),
)

_BLOCK = 4 * (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768) + 4 * 768
_EMBEDDING = (30_522 + 512 + 2) * 768 + 2 * 768
_NO_BIAS = (30_522 + 512 + 2) * 768 + 12 * (4 * 768 * 768 + 2 * 768 * 3072)

count_base = Number(
    name="bert.count_base",
    title="How large is BERT-base?",
    minutes=8,
    difficulty=3,
    question=(
        "The paper says 110 million. Count the numbers of the encoder, `Bert`, without any head: "
        "30,522 pieces, 512 positions, 2 segments, `d_model` 768, 12 heads, 12 blocks, `d_ff` "
        "3072. Every linear layer has a bias, and after the embedding there is a layer norm. "
        "Give millions, with one digit after the point. (Python may multiply for you.)"
    ),
    answer=(_EMBEDDING + 12 * _BLOCK) / 1e6,
    tolerance=0.06,
    unit="millions",
    why=(
        "Embedding: (30,522 + 512 + 2) * 768 and a norm, 23.8 million. A block: four matrices of "
        "768 x 768 for the attention, two of 768 x 3072, biases and two norms, 7.1 million; twelve "
        "make 85.1. With the pooler of 768 x 768 it is 109.5: the paper's number. More than a "
        "fifth of all is in the vectors of the pieces."
    ),
    wrong=(
        WrongAnswer(
            12 * _BLOCK / 1e6, "Those are the twelve blocks. The embedding is missing."
        ),
        WrongAnswer(
            (_EMBEDDING + 12 * _BLOCK + 768 * 768 + 768) / 1e6,
            "That is the encoder with the pooler. Our `Bert` has none: it belongs to the heads.",
        ),
        WrongAnswer(110, "That is the paper's round number. Count."),
        WrongAnswer(
            _EMBEDDING + 12 * _BLOCK, "That is the number itself. Give millions."
        ),
        WrongAnswer(
            round((_EMBEDDING + 12 * _BLOCK) / 1e6),
            "That is rounded to whole millions. Give one digit after the point.",
        ),
        WrongAnswer(
            (_EMBEDDING + 12 * _BLOCK + 30_522 * 768) / 1e6,
            "You count the matrix of the pieces twice. The language head uses the embedding's own "
            "matrix, and is not asked for.",
        ),
        WrongAnswer(
            _NO_BIAS / 1e6, "Those are the matrices alone. The biases are missing."
        ),
        WrongAnswer(
            (_EMBEDDING + _BLOCK) / 1e6, "That is one block. There are twelve of them."
        ),
        WrongAnswer(
            (_EMBEDDING + 12 * (_BLOCK - 768 * 768 - 768)) / 1e6,
            "The attention of a block has four matrices: query, key, value, and the one that "
            "projects what all heads have gathered.",
        ),
        WrongAnswer(
            (_EMBEDDING + 12 * (_BLOCK + 11 * 4 * (768 * 768 + 768))) / 1e6,
            "You count the attention once for each head. All heads of a block share 768 features.",
        ),
        WrongAnswer(
            (_EMBEDDING - 512 * 768 + 12 * _BLOCK) / 1e6,
            "The positions are missing. BERT learns a vector for each of the 512.",
        ),
        WrongAnswer(
            (_EMBEDDING + 12 * (_BLOCK - 768 * 3072 - 3072)) / 1e6,
            "The feed-forward network of a block has two matrices: there and back.",
        ),
    ),
)

more_than_the_topic = Choice(
    name="bert.more_than_the_topic",
    title="Does it follow, or is it about the same thing?",
    minutes=3,
    difficulty=3,
    question=(
        "In next-sentence prediction the false second text comes from anywhere in the corpus, "
        "mostly from another topic. So a model can do well that knows no word order: two texts "
        "that share words belong together. Which false pair forces it to learn more?"
    ),
    options=(
        Option(
            "the two texts that do follow each other, with their places exchanged",
            correct=True,
            why=(
                "The same topic, the same words: what is left to learn is which of the two comes "
                "first. That is the sentence-order prediction of ALBERT (Lan et al., 2020)."
            ),
        ),
        Option(
            "a second text from another topic that is just as long as the true one",
            why="Then the length gives nothing away. The topic still does.",
        ),
        Option(
            "the first text once more",
            why="All words are shared, more than in any true pair. Counting them is enough.",
        ),
        Option(
            "the true second text, with its words shuffled",
            why=(
                "The topic is right. But it can be seen from the second text alone that it is no "
                "language. The first text need not be read."
            ),
        ),
    ),
)

# --------------------------------------------------------------------------- 1 whole words


def _pieces_and_chosen(generator):
    def up_to(n):
        return int(torch.randint(n, (), generator=generator))

    sizes = [(1, 4, 2, 1, 3, 2, 4)[i] for i in torch.randperm(7, generator=generator)]
    letters = "abcdefgh"
    pieces = ["[CLS]"]
    for size in sizes:
        pieces += [
            letters[up_to(8)],
            *("##" + letters[up_to(8)] for _ in range(1, size)),
        ]
    pieces.append("[SEP]")
    chosen = [False] * len(pieces)
    places = 1 + torch.randperm(len(pieces) - 2, generator=generator)
    for place in places[:4].tolist():
        chosen[place] = True
    return pieces, chosen


def _whole_words(pieces, chosen):
    whole = list(chosen)
    behind_the_first = range(1, len(pieces))
    for place in behind_the_first:
        if pieces[place].startswith("##") and whole[place - 1]:
            whole[place] = True
    for place in reversed(behind_the_first):
        if pieces[place].startswith("##") and whole[place]:
            whole[place - 1] = True
    return whole


def _ww_one_on(pieces, chosen):
    whole = list(chosen)
    for place in range(1, len(pieces)):
        if pieces[place].startswith("##") and chosen[place - 1]:
            whole[place] = True
    return whole


def _ww_forward(pieces, chosen):
    whole = list(chosen)
    for place in range(1, len(pieces)):
        if pieces[place].startswith("##") and whole[place - 1]:
            whole[place] = True
    return whole


def _ww_back(pieces, chosen):
    whole = list(chosen)
    for place in reversed(range(1, len(pieces))):
        if pieces[place].startswith("##") and whole[place]:
            whole[place - 1] = True
    return whole


def _ww_neighbours(pieces, chosen):
    one_back = list(chosen)
    for place in range(1, len(pieces)):
        if pieces[place].startswith("##") and chosen[place]:
            one_back[place - 1] = True
    one_on = _ww_one_on(pieces, chosen)
    return [left or right for left, right in zip(one_back, one_on, strict=True)]


def _ww_one_loop(pieces, chosen):
    whole = list(chosen)
    for place in range(1, len(pieces)):
        if pieces[place].startswith("##") and (whole[place - 1] or whole[place]):
            whole[place - 1] = whole[place] = True
    return whole


def _ww_one_on_then_back(pieces, chosen):
    return _ww_back(pieces, _ww_one_on(pieces, chosen))


def _ww_by_word(decide, begins=lambda pieces, place: pieces[place][:2] != "##"):
    """Each word as a whole, with one thing changed."""

    def whole_words(pieces, chosen):
        words = []
        for place in range(len(pieces)):
            if place == 0 or begins(pieces, place):
                words.append([])
            words[-1].append(chosen[place])
        return [flag for word in words for flag in decide(word)]

    return whole_words


def _ww_in_place(pieces, chosen):
    chosen[:] = _whole_words(pieces, chosen)
    return chosen


whole_words = CodeExercise(
    name="bert.whole_words",
    title="Mend a mask of whole words",
    minutes=10,
    difficulty=1,
    statement="""In `snow [MASK] ##s` the blank is too easy: the rest of the word gives it away.
Later versions of BERT hide **whole words**: if one piece of a word is chosen, all of its pieces
are.

This function should extend a choice of single places in that way. It runs, it raises nothing, and
it is wrong twice:

```python
def whole_words(pieces, chosen):
    whole = list(chosen)
    for place in range(1, len(pieces)):
        if pieces[place].startswith("##") and chosen[place - 1]:
            whole[place] = True
    return whole
```

Mend it. Draw a word of four pieces first, with the second one chosen.""",
    stub='''def whole_words(pieces, chosen):
    """Choose the other pieces of a word wherever one of them is chosen.

    pieces: list[str], at least one, the first without "##"; a word is a piece without
        "##" in front and all those with "##" that follow it directly.
    chosen: list[bool], one for each piece; it stays as it is.
    Returns a new list[bool] of the same length.
    """
    ...
''',
    reference=_whole_words,
    make_inputs=_pieces_and_chosen,
    hints=(
        "Take `a ##b ##c ##d` with only `##b` chosen. Which of the others does the loop reach? "
        "There is one mistake behind `##b` and one before it.",
        "To get to the end of the word, look at `whole[place - 1]`, which may just have become "
        "True. To get to its beginning, go through the places a second time, from right to left.",
    ),
    misconceptions=(
        Misconception(
            "as_it_was",
            _ww_one_on,
            "That is the broken function as it was. How far does it get to the right? And what "
            "does it do to the left?",
        ),
        Misconception(
            "only_to_the_right",
            _ww_forward,
            "One mistake is mended: you reach the end of the word. Its beginning is still missing. "
            "If `##b` is chosen in `a ##b`, then `a` is, too.",
        ),
        Misconception(
            "one_loop",
            _ww_one_loop,
            "You go to the left inside the loop that runs to the right. So you get one piece to "
            "the left only. Go through the places a second time, from right to left.",
        ),
        Misconception(
            "one_on_then_back",
            _ww_one_on_then_back,
            "One mistake is mended: you reach the beginning of the word. To the right you still "
            "get one piece further only: `chosen` does not know what you have just added.",
        ),
        Misconception(
            "only_to_the_left",
            _ww_back,
            "You go from a chosen piece to the beginning of its word. The pieces behind it belong "
            "to the word as well.",
        ),
        Misconception(
            "neighbours",
            _ww_neighbours,
            "You add the neighbours of a chosen piece. A word may have more than three pieces.",
        ),
        Misconception(
            "first_piece_decides",
            _ww_by_word(lambda word: [word[0]] * len(word)),
            "You look at the first piece of each word only. *Any* chosen piece counts.",
        ),
        Misconception(
            "last_piece_decides",
            _ww_by_word(lambda word: [word[-1]] * len(word)),
            "You look at the last piece of each word only. *Any* chosen piece counts.",
        ),
        Misconception(
            "all_must_be_chosen",
            _ww_by_word(lambda word: [all(word)] * len(word)),
            "You keep the words in which all pieces are chosen. One is enough: `any`.",
        ),
        Misconception(
            "only_the_first_piece",
            _ww_by_word(lambda word: [any(word)] + [False] * (len(word) - 1)),
            "You have found the words, but choose only their first pieces.",
        ),
        Misconception(
            "joins_the_words",
            _ww_by_word(
                lambda word: [any(word)] * len(word),
                lambda pieces, place: pieces[place - 1][:2] != "##",
            ),
            "You take `##` for a sign that the word goes on *behind* a piece. It says that the "
            "word goes on *with* it: `play ##ed`.",
        ),
        Misconception(
            "forgets_short_words",
            _ww_by_word(
                lambda word: [any(word) and len(word) > 1] * len(word),
            ),
            "A word of one piece is a whole word, too. If it was chosen, it stays chosen.",
        ),
        Misconception(
            "in_place",
            _ww_in_place,
            "The result is right, but you have changed the list `chosen`. Work on a copy: "
            "`list(chosen)`.",
        ),
    ),
    edge_cases=(
        (["a", "##b", "##c", "##d", "e"], [False, True, False, False, False]),
        (["a", "b", "##c"], [True, False, False]),
        (["a"], [False]),
    ),
)

# ------------------------------------------------------------------- 2 labels for pieces

_IGNORED = -100


def _words_and_pieces(generator):
    def up_to(n):
        return int(torch.randint(n, (), generator=generator))

    def one_after_the_other(start, sizes, sign):
        found = []
        for size in sizes:
            text = "abcdefgh"[start % 7 : start % 7 + size]
            found.append((sign * bool(found) + text, start, start + size))
            start += size
        return found

    kinds = ("plain", "plain", "apart", "invisible", "no signs", "none")
    place, words, pieces = 0, [], [("[CLS]", 0, 0)]
    for kind in [kinds[i] for i in torch.randperm(6, generator=generator)]:
        label, first = 1 + up_to(8), place + (kind == "invisible")
        sizes = [1 + up_to(2), 1 + up_to(2)]
        if kind == "apart":  # two Korean syllables, the first made of three letters
            cut = [("\u1112", place, place + 1), ("##\u1161", place, place + 1)]
            cut += [("##\u11ab", place, place + 1), ("##\u1100", place + 1, place + 2)]
        else:
            sign = "" if kind in ("no signs", "none") else "##"
            cut = one_after_the_other(first, sizes, sign)
        pieces += cut
        if kind != "none":  # these two stand in the text without a label
            words.append((place, cut[-1][2], label))
        place = cut[-1][2] + up_to(2)
    pieces.append(("[SEP]", place, place))
    return words, pieces


def _labels_of_pieces(words, pieces):
    labels = [-100] * len(pieces)
    for word_start, word_end, label in words:
        for index, (_, start, end) in enumerate(pieces):
            if word_start <= start < end <= word_end:
                labels[index] = label
                break
    return labels


def _lp_with(
    inside=lambda word, piece: word[0] <= piece[1] < piece[2] <= word[1],
    which=lambda found: found[:1],
    other=_IGNORED,
):
    """Labels with one thing changed."""

    def labels_of_pieces(words, pieces):
        labels = [other] * len(pieces)
        for word in words:
            found = [i for i, piece in enumerate(pieces) if inside(word, piece)]
            for index in which(found):
                labels[index] = word[2]
        return labels

    return labels_of_pieces


def _lp_in_turn(words, pieces):
    left = [label for *_, label in words]
    labels = []
    for text, start, end in pieces:
        begins = start < end and not text.startswith("##")
        labels.append(left.pop(0) if begins and left else _IGNORED)
    return labels


def _lp_where_it_changes(last_of):
    """A label is set where it is another than the last one; `last_of` says which that is."""

    def labels_of_pieces(words, pieces):
        labels, last = [], _IGNORED
        for label in _lp_with(which=lambda found: found)(words, pieces):
            labels.append(label if label != last else _IGNORED)
            last = last_of(last, label)
        return labels

    return labels_of_pieces


def _lp_without_specials(words, pieces):
    labels = _labels_of_pieces(words, pieces)
    return [
        label
        for label, (_, start, end) in zip(labels, pieces, strict=True)
        if start < end
    ]


def _lp_characters(words, pieces):
    spans = [(text, i, i + 1) for i, (text, _, _) in enumerate(pieces)]
    return _labels_of_pieces(words, spans)


_TWO_WORDS = [(0, 3, 5), (3, 4, 2)]

labels_of_pieces = CodeExercise(
    name="bert.labels_of_pieces",
    title="Labels for words, pieces for BERT",
    minutes=20,
    difficulty=2,
    statement="""Somebody has labelled the words of a text: from this character to that one, a noun,
class 5. BERT reads pieces, not words. Which piece gets the label? It is usual to take the **first
piece** of each word, and to leave the others out of the loss: they get -100, the class that
`cross_entropy` ignores.

`WordPiece.pieces` of the chapter says where each piece comes from, and that is all you need. Four
cases to think of:

- `[CLS]` comes as (0, 0). It starts at 0, as the first word may. It also ends there: it stands for
  no character, and gets -100.
- `don't` is one word, (0, 5), and three pieces: `don` (0, 3), `'` (3, 4) and `t` (4, 5). None
  begins with `##`, so the text of a piece says too little. Only `don` gets the label.
- A word may begin with a character that the tokenizer drops, such as a soft hyphen. The word is
  (0, 5), its first piece (1, 5). No piece begins where the word does.
- 한 may come apart into three letters, and all three come as (0, 1). Only the first of them gets
  the label.""",
    stub='''def labels_of_pieces(words, pieces):
    """Carry the labels of words over to their first pieces.

    words: list of (start, end, label), in the order of the text: three int; the word is
        text[start:end], start < end; no two words overlap, but one may begin where
        another ends.
    pieces: list of (piece, start, end), as WordPiece.pieces gives them, with [CLS] and
        [SEP] put round: in the order of the text, made of text[start:end]; [CLS] and
        [SEP] have start == end, all others start < end. Each lies inside one word, or
        outside of all.
    Returns list[int], one for each piece: the label of the word at the first piece inside
        it, -100 at all others. A word without a piece has no effect.
    """
    ...
''',
    reference=_labels_of_pieces,
    make_inputs=_words_and_pieces,
    hints=(
        "Begin with a list of -100, one for each piece. Then go through the words, and for each "
        "through the pieces. When is a piece inside a word? When do you stop?",
        "A piece is inside a word if `word_start <= start < end <= word_end`. The `<` in the "
        "middle keeps the special pieces out. Set the label at the first such piece, then `break`.",
    ),
    misconceptions=(
        Misconception(
            "all_pieces",
            _lp_with(which=lambda found: found),
            "All pieces of a word get its label. Then a word of five pieces counts five times in "
            "the loss. Only the first piece gets it.",
        ),
        Misconception(
            "last_piece",
            _lp_with(which=lambda found: found[-1:]),
            "The last piece of each word gets the label. It should be the first.",
        ),
        Misconception(
            "sign_in_the_text",
            _lp_with(
                inside=lambda word, piece: (
                    word[0] <= piece[1] < piece[2] <= word[1] and piece[0][:2] != "##"
                ),
                which=lambda found: found,
            ),
            "Every piece without `##` gets the label. But a labelled word such as `don't` has "
            "several of them. Only the first piece inside the word counts.",
        ),
        Misconception(
            "same_start",
            _lp_with(
                inside=lambda word, piece: word[0] == piece[1] < piece[2],
                which=lambda found: found,
            ),
            "You look for pieces that begin where the word does. There may be several: a Korean "
            "syllable comes apart. There may be none: the first character may have been dropped.",
        ),
        Misconception(
            "first_with_the_same_start",
            _lp_with(inside=lambda word, piece: word[0] == piece[1] < piece[2]),
            "You look for the first piece that begins where the word does. There may be none: the "
            "tokenizer may have dropped the word's first character. Look for the first piece "
            "*inside* the word.",
        ),
        Misconception(
            "special_pieces",
            _lp_with(
                inside=lambda word, piece: word[0] <= piece[1] <= piece[2] <= word[1]
            ),
            "A special piece gets a label. `[CLS]` says that it begins and ends at 0, where a word "
            "may begin, too. It is made of no character: start and end are the same.",
        ),
        Misconception(
            "touches",
            _lp_with(
                inside=lambda word, piece: piece[1] <= word[1] and piece[2] >= word[0]
            ),
            "You also take pieces that only touch the word. Where one word ends, the next may "
            "begin: `end` is the first character that is *not* in it.",
        ),
        Misconception(
            "in_turn",
            _lp_in_turn,
            "You give the labels out in turn, one for each piece without `##`. But not every piece "
            "of the text belongs to a labelled word, and a word may have several such pieces.",
        ),
        Misconception(
            "where_the_label_changes",
            _lp_where_it_changes(lambda last, label: label),
            "You set a label where it changes from one piece to the next. But two words that stand "
            "side by side may have the same label. A new word begins a new label all the same.",
        ),
        Misconception(
            "where_a_new_label_comes",
            _lp_where_it_changes(
                lambda last, label: last if label == _IGNORED else label
            ),
            "You set a label where it is another than that of the last word. Two words may have "
            "the same label, one after the other. Each gets it once, at its first piece.",
        ),
        Misconception(
            "zero",
            _lp_with(other=0),
            "The right places. But the others get 0, and 0 is a class. `cross_entropy` leaves out "
            "-100.",
        ),
        Misconception(
            "without_specials",
            _lp_without_specials,
            "You leave the special pieces out. The model has an output for them as well, so the "
            "list must have an entry for each piece: -100.",
        ),
        Misconception(
            "counts_pieces",
            _lp_characters,
            "You compare the word's start and end with the *number* of the piece. They count "
            "characters of the text.",
        ),
    ),
    edge_cases=(
        (_TWO_WORDS, [("[CLS]", 0, 0), ("a", 0, 3), ("b", 3, 4), ("[SEP]", 4, 4)]),
        (
            [(0, 2, 5), (2, 3, 5), (4, 5, 5)],
            [
                ("[CLS]", 0, 0),
                ("a", 0, 1),
                ("##b", 1, 2),
                ("c", 2, 3),
                (".", 3, 4),
                ("d", 4, 5),
                ("[SEP]", 5, 5),
            ],
        ),
        ([(0, 1, 3), (2, 5, 1)], [("[CLS]", 0, 0), ("[UNK]", 2, 5), ("[SEP]", 5, 5)]),
        ([], [("[CLS]", 0, 0), ("[SEP]", 0, 0)]),
    ),
)

# ------------------------------------------------------------------------ 3 rate a sentence


def _a_model(generator, max_places, vocab_size):
    """A function from token ids to log P at each place. Every place looks at all others."""
    vectors = torch.randn(vocab_size, 5, generator=generator, dtype=torch.float64)
    mixing = torch.randn(
        max_places, max_places, generator=generator, dtype=torch.float64
    )
    head = 1.5 * torch.randn(5, vocab_size, generator=generator, dtype=torch.float64)

    def log_probs(token_ids):
        n_places = len(token_ids)
        hidden = (mixing[:n_places, :n_places] @ vectors[token_ids]).tanh()
        return (hidden @ head).log_softmax(dim=1)

    return log_probs


_CONTINUES = ((0, 1, 1), (0,), (0, 1), (0, 1, 1, 1))


def _sentence_and_model(generator):
    order = torch.randperm(4, generator=generator).tolist()
    flags = [0, *(flag for i in order for flag in _CONTINUES[i]), 0]
    token_ids = torch.randint(5, 12, (len(flags),), generator=generator)
    token_ids[0], token_ids[-1] = 2, 3
    log_probs = _a_model(generator, len(flags), 12)
    return token_ids, torch.tensor(flags).bool(), log_probs, 4


def _rate_sentence(token_ids, continues, log_probs, mask_id):
    total = 0.0
    for place in range(1, len(token_ids) - 1):
        seen = token_ids.clone()
        seen[place] = mask_id
        after = place + 1
        while continues[after]:
            seen[after] = mask_id
            after += 1
        total += float(log_probs(seen)[place, token_ids[place]])
    return total


def _rs_with(
    hidden,
    asked=lambda seen, token_ids, place: (place, token_ids[place]),
    counts=lambda place, continues: 0 < place < len(continues) - 1,
    end=lambda total, n_counted: total,
):
    """A rating with one thing changed; `hidden` says which places are hidden for a place."""

    def rate_sentence(token_ids, continues, log_probs, mask_id):
        total, n_counted = 0.0, 0
        for place in range(len(token_ids)):
            if not counts(place, continues):
                continue
            seen = token_ids.clone()
            seen[hidden(place, continues)] = mask_id
            total += float(log_probs(seen)[asked(seen, token_ids, place)])
            n_counted += 1
        return end(total, n_counted)

    return rate_sentence


def _first_of_word(place, continues):
    while continues[place]:
        place -= 1
    return place


def _end_of_word(place, continues):
    place += 1
    while place < len(continues) and continues[place]:
        place += 1
    return place


def _places(first, end):
    return torch.arange(first, end)


def _rs_right_of(place, continues):
    return _places(place, _end_of_word(place, continues))


def _rs_every(place, continues):
    return _places(1, len(continues) - 1)


def _rs_later_words_too(place, continues):
    behind = _places(place + 1, len(continues))
    return torch.cat([_places(place, place + 1), behind[continues[place + 1 :]]])


def _rs_stays_hidden(token_ids, continues, log_probs, mask_id):
    total, seen = 0.0, token_ids.clone()
    for place in range(1, len(token_ids) - 1):
        seen[_rs_right_of(place, continues)] = mask_id
        total += float(log_probs(seen)[place, token_ids[place]])
    return total


def _rs_in_place(token_ids, continues, log_probs, mask_id):
    total, kept = 0.0, token_ids.clone()
    for place in range(1, len(token_ids) - 1):
        token_ids[_rs_right_of(place, continues)] = mask_id
        total += float(log_probs(token_ids)[place, kept[place]])
    return total


_RATED = _sentence_and_model(torch.Generator().manual_seed(100))

rate_sentence = CodeExercise(
    name="bert.rate_sentence",
    title="How good is a sentence?",
    minutes=20,
    difficulty=3,
    statement="""The chain rule gives a left-to-right model the probability of a sentence. BERT has
no such rule. Salazar et al. (2020) take what it does have: hide one piece, ask for its log P with
all others visible, and do so for every piece in turn. The sum is the *pseudo-log-likelihood*. It is
no log-probability of the sentence, but it tells good sentences from bad ones.

It has a fault. A rare word of many pieces gets far too much: with `snow [MASK] ##rm` in view,
everybody finds `##sto`. So Kauf & Ivanova (2023) also hide the pieces of the *same word* that come
*after* the one that is asked for. Write this repaired sum.

When it is right, rate a sentence with one verb in the wrong number, and the same sentence with the
right one, by the chapter's model.""",
    stub='''def rate_sentence(token_ids, continues, log_probs, mask_id):
    """The pseudo-log-likelihood of a sentence, with the rest of each word hidden.

    token_ids: Int[Tensor, "time"]: [CLS], one or more pieces, [SEP]; it stays as it is.
    continues: Bool[Tensor, "time"], True for a piece that goes on with the word before it
        ("##..."); False at [CLS], at the piece after it, and at [SEP].
    log_probs: a function; it takes token ids, Int[Tensor, "time"], and returns log P of
        each piece at each place, in nats, Float[Tensor, "time vocab_size"].
    mask_id: int, the id of [MASK].
    Returns a float, in nats: the sum over all places but the first and the last.
    """
    ...
''',
    reference=_rate_sentence,
    make_inputs=_sentence_and_model,
    hints=(
        "One call of `log_probs` for each place. Each begins with a fresh copy, "
        "`token_ids.clone()`. Which places of the copy become `mask_id`?",
        "The place itself, and then, as long as `continues` is True there, the places after it. "
        "Of the result you need one number: row `place`, column `token_ids[place]`.",
    ),
    misconceptions=(
        Misconception(
            "one_piece_only",
            _rs_with(lambda place, continues: _places(place, place + 1)),
            "You hide the one piece. That is the first version, with its fault: the rest of the "
            "word gives the piece away. Hide the later pieces of the same word, too.",
        ),
        Misconception(
            "whole_word",
            _rs_with(
                lambda place, continues: _places(
                    _first_of_word(place, continues), _end_of_word(place, continues)
                )
            ),
            "You hide the whole word. Its earlier pieces stay visible: a word is rated from left "
            "to right, so that none of it is guessed twice.",
        ),
        Misconception(
            "word_before",
            _rs_with(
                lambda place, continues: _places(
                    _first_of_word(place, continues), place + 1
                )
            ),
            "You hide the *earlier* pieces of the word. It should be the later ones.",
        ),
        Misconception(
            "all_after",
            _rs_with(lambda place, continues: _places(place, len(continues) - 1)),
            "You hide everything behind the piece. That makes a left-to-right model of BERT, which "
            "it has not learned to be. Stop at the end of the word.",
        ),
        Misconception(
            "one_more_piece",
            _rs_with(
                lambda place, continues: _places(
                    place, place + 1 + int(continues[place + 1])
                )
            ),
            "You hide one more piece of the word. There may be several.",
        ),
        Misconception(
            "next_word_too",
            _rs_with(
                lambda place, continues: _places(
                    place, min(_end_of_word(place, continues) + 1, len(continues) - 1)
                )
            ),
            "You hide one piece too many: the first piece of the *next* word must stay visible.",
        ),
        Misconception(
            "later_words_too",
            _rs_with(_rs_later_words_too),
            "You hide the `##` pieces of later words, too. Stop at the first piece that is not "
            "`##`.",
        ),
        Misconception(
            "nothing_hidden",
            _rs_with(lambda place, continues: _places(0, 0)),
            "You hide nothing, so the model sees the piece that it is asked for.",
        ),
        Misconception(
            "all_hidden",
            _rs_with(_rs_every),
            "You hide all pieces at once. Only the rest of the word is hidden; what stands on both "
            "sides of it is the hint.",
        ),
        Misconception(
            "stays_hidden",
            _rs_stays_hidden,
            "You use one copy for all places. What was hidden for an earlier place is still "
            "hidden. Take a fresh copy each time.",
        ),
        Misconception(
            "in_place",
            _rs_in_place,
            "You write into the tensor that you were given. Then it has changed for everybody, and "
            "what was hidden for an earlier place is still hidden. Take a copy for each place.",
        ),
        Misconception(
            "asks_for_the_mask",
            _rs_with(
                _rs_right_of, asked=lambda seen, token_ids, place: (place, seen[place])
            ),
            "You ask for log P of `[MASK]`: the column is that of the piece which stands in "
            "`token_ids`, not in the copy.",
        ),
        Misconception(
            "specials_count",
            _rs_with(_rs_right_of, counts=lambda place, continues: True),
            "You count `[CLS]` and `[SEP]` as well. They stand in every sentence.",
        ),
        Misconception(
            "words_only",
            _rs_with(
                _rs_right_of,
                counts=lambda place, continues: (
                    0 < place < len(continues) - 1 and not continues[place]
                ),
            ),
            "You ask for the first piece of each word only. Every piece counts.",
        ),
        Misconception(
            "mean",
            _rs_with(_rs_right_of, end=lambda total, n_counted: total / n_counted),
            "You return the mean over the pieces. Asked for is the sum.",
        ),
        Misconception(
            "minus",
            _rs_with(_rs_right_of, end=lambda total, n_counted: -total),
            "You return minus the sum, a loss. Asked for is the sum of log P: at most 0.",
        ),
        Misconception(
            "nothing_added",
            lambda token_ids, continues, log_probs, mask_id: 0.0,
            "The result is always 0. Is there a line that adds each log P to the sum?",
        ),
        Misconception(
            "probability",
            _rs_with(_rs_right_of, end=lambda total, n_counted: math.exp(total)),
            "That is e to the power of the sum. Return the sum itself: a logarithm.",
        ),
        Misconception(
            "bits",
            _rs_with(_rs_right_of, end=lambda total, n_counted: total / math.log(2)),
            "The right sum, in bits. `log_probs` gives nats, and nats are asked for.",
        ),
    ),
    edge_cases=(
        (_RATED[0], torch.zeros(len(_RATED[0])).bool(), *_RATED[2:]),
        (torch.tensor([2, 7, 3]), torch.zeros(3).bool(), *_RATED[2:]),
    ),
)

# ------------------------------------------------------------------------- 4 surest first


def _blanks_and_model(generator):
    log_probs = _a_model(generator, 9, 12)
    token_ids = torch.randint(5, 12, (9,), generator=generator)
    token_ids[0], token_ids[-1] = 2, 3
    blanks = 1 + torch.randperm(7, generator=generator)[:5]
    token_ids[blanks] = 4
    return token_ids, log_probs, 4, [0, 1, 2, 3, 4]


def _fill_surest_first(token_ids, log_probs, mask_id, forbidden):
    filled, order = token_ids.clone(), []
    while (filled == mask_id).any():
        rows = log_probs(filled).clone()
        rows[:, forbidden] = -math.inf
        best, pieces = rows.max(dim=1)
        place = int(best.masked_fill(filled != mask_id, -math.inf).argmax())
        filled[place] = pieces[place]
        order.append(place)
    return filled, order


def _fs_with(
    next_place=lambda best, rows, blank: best.masked_fill(~blank, -math.inf).argmax(),
    prepare=lambda rows, forbidden: rows.index_fill(
        1, torch.tensor(forbidden), -math.inf
    ),
    asks_again=True,
    in_place=False,
):
    """A filling with one thing changed."""

    def fill_surest_first(token_ids, log_probs, mask_id, forbidden):
        filled, order = token_ids if in_place else token_ids.clone(), []
        blank = token_ids == mask_id
        rows = prepare(log_probs(token_ids), forbidden)
        for _ in range(int(blank.sum())):
            if asks_again:
                rows = prepare(log_probs(filled), forbidden)
            best, pieces = rows.max(dim=1)
            place = int(next_place(best, rows, blank))
            filled[place] = pieces[place]
            blank = blank.clone()
            blank[place] = False
            order.append(place)
        return filled, order

    return fill_surest_first


def _fs_order_once(token_ids, log_probs, mask_id, forbidden):
    _, order = _fs_with(asks_again=False)(token_ids, log_probs, mask_id, forbidden)
    filled = token_ids.clone()
    for place in order:
        row = log_probs(filled)[place].clone()
        row[forbidden] = -math.inf
        filled[place] = row.argmax()
    return filled, order


def _fs_greatest_gap(best, rows, blank):
    first, second = rows.topk(2, dim=1).values.exp().T
    return (first - second).masked_fill(~blank, -math.inf).argmax()


def _fs_divided_again(rows, forbidden):
    return rows.index_fill(1, torch.tensor(forbidden), -math.inf).log_softmax(dim=1)


def _fs_place_with_forbidden(token_ids, log_probs, mask_id, forbidden):
    filled, order = token_ids.clone(), []
    while (filled == mask_id).any():
        rows = log_probs(filled)
        best = rows.max(dim=1).values.masked_fill(filled != mask_id, -math.inf)
        place = int(best.argmax())
        row = rows[place].clone()
        row[forbidden] = -math.inf
        filled[place] = row.argmax()
        order.append(place)
    return filled, order


def _fs_mask_only(token_ids, log_probs, mask_id, forbidden):
    return _fill_surest_first(token_ids, log_probs, mask_id, [mask_id])


def _fs_ids_only(token_ids, log_probs, mask_id, forbidden):
    return _fill_surest_first(token_ids, log_probs, mask_id, forbidden)[0]


def _fs_in_order_of_places(token_ids, log_probs, mask_id, forbidden):
    filled, order = _fill_surest_first(token_ids, log_probs, mask_id, forbidden)
    return filled, sorted(order)


_BLANKS = _blanks_and_model(torch.Generator().manual_seed(100))

fill_surest_first = CodeExercise(
    name="bert.fill_surest_first",
    title="Many blanks, the surest first",
    minutes=25,
    difficulty=3,
    statement="""The chapter fills one blank. What if there are several? BERT answers for each blank
alone: in `the [MASK] [MASK] away` it may find `turtles` and `runs`, each probable, and together
wrong. So fill them **one after the other**, and ask again after each: the next answer knows the
last. And in which order? No side has to come first. Take the blank of which the model is surest.

In each round: ask the model, look for the most probable piece of every blank that is left, and fill
the *one* blank whose best piece is the most probable. Some pieces may not be written, `[MASK]` and
`[CLS]` among them: the best piece is the best of the others, with the probability that the model
gave it.

(Ghazvininejad et al., 2019, go on from here: they fill all blanks in each round, hide the least
sure pieces again, and need far fewer rounds than there are blanks.)""",
    stub='''def fill_surest_first(token_ids, log_probs, mask_id, forbidden):
    """Fill the blanks of a sentence one by one.

    token_ids: Int[Tensor, "time"], mask_id at every blank; it stays as it is.
    log_probs: a function; it takes token ids, Int[Tensor, "time"], and returns log P of
        each piece at each place, in nats, Float[Tensor, "time vocab_size"].
    mask_id: int, the id of [MASK].
    forbidden: list[int], ids that are never written; mask_id is one of them, and at least
        one piece is not among them.
    Returns the filled token ids, Int[Tensor, "time"], and list[int], the places in the
        order in which they were filled. (In the tests no two are equally probable.)
    """
    ...
''',
    reference=_fill_surest_first,
    make_inputs=_blanks_and_model,
    hints=(
        "A loop that runs while there is a blank. Inside: ask for the log P of the sentence *as it "
        "is now*. Set the columns of the forbidden ids to minus infinity.",
        "`rows.max(dim=1)` gives the best log P of every place, and its piece. Set it to minus "
        "infinity where there is no blank; `argmax` of what is left is the place.",
    ),
    misconceptions=(
        Misconception(
            "all_at_once",
            _fs_with(asks_again=False),
            "You ask once, and fill all blanks from that answer. Then no blank knows of another. "
            "Ask again after each piece.",
        ),
        Misconception(
            "order_once",
            _fs_order_once,
            "You ask again for the pieces, but the order is that of the first answer. A piece that "
            "has been filled in changes how sure the model is elsewhere.",
        ),
        Misconception(
            "left_to_right",
            _fs_with(next_place=lambda best, rows, blank: blank.int().argmax()),
            "You fill from left to right. Take the surest blank first, wherever it stands.",
        ),
        Misconception(
            "right_to_left",
            _fs_with(next_place=lambda best, rows, blank: blank.nonzero()[-1]),
            "You fill from right to left. Take the surest blank first, wherever it stands.",
        ),
        Misconception(
            "least_sure_first",
            _fs_with(
                next_place=lambda best, rows, blank: best.masked_fill(
                    ~blank, math.inf
                ).argmin()
            ),
            "You take the blank of which the model is *least* sure. log P is negative: the surest "
            "is nearest to 0, the largest.",
        ),
        Misconception(
            "everywhere",
            _fs_with(next_place=lambda best, rows, blank: best.argmax()),
            "You look for the surest place among all, and so write over pieces that stand there. "
            "Only blanks are filled.",
        ),
        Misconception(
            "forbidden_pieces",
            _fs_with(prepare=lambda rows, forbidden: rows),
            "You also write pieces that are forbidden, such as `[CLS]`.",
        ),
        Misconception(
            "place_with_forbidden",
            _fs_place_with_forbidden,
            "You choose the place before the forbidden pieces are taken out. The probability of a "
            "forbidden piece must not decide.",
        ),
        Misconception(
            "mask_only",
            _fs_mask_only,
            "You leave out `[MASK]` only. All ids of `forbidden` are never written.",
        ),
        Misconception(
            "divided_again",
            _fs_with(prepare=_fs_divided_again),
            "You divide the probabilities by their sum again after taking out the forbidden "
            "pieces. That changes how sure a blank seems. Take what the model gave.",
        ),
        Misconception(
            "greatest_gap",
            _fs_with(next_place=_fs_greatest_gap),
            "You take the blank whose best piece is farthest ahead of the second. Asked for is the "
            "one whose best piece is the most probable.",
        ),
        Misconception(
            "ids_only",
            _fs_ids_only,
            "The ids are right. Return the ids and the places: `return filled, order`.",
        ),
        Misconception(
            "sorted_order",
            _fs_in_order_of_places,
            "The sentence is right. The places should be in the order in which you filled them.",
        ),
        Misconception(
            "in_place",
            _fs_with(in_place=True),
            "The result is right, but you have filled the tensor that you were given. Work on a "
            "copy: `token_ids.clone()`.",
        ),
    ),
    edge_cases=(
        (torch.tensor([2, 7, 8, 3]), *_BLANKS[1:]),
        (torch.tensor([2, 4, 4, 3]), _BLANKS[1], 4, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ),
)

# ------------------------------------------------------------------ 5 both sides, exactly


def _chain_and_sentence(generator):
    initial = torch.randn(4, generator=generator, dtype=torch.float64)
    transition = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    token_ids = torch.randint(4, (9,), generator=generator)
    first = int(torch.randint(2, (), generator=generator))
    token_ids[[first, 3, 4, 5, 8]] = -1
    return (2 * initial).softmax(dim=0), (2 * transition).softmax(dim=1), token_ids


def _fill_exactly(initial, transition, token_ids):
    n_words, vocab_size = len(token_ids), len(initial)
    allowed = torch.ones(n_words, vocab_size, dtype=initial.dtype)
    for place, token in enumerate(token_ids.tolist()):
        if token != -1:
            allowed[place] = 0
            allowed[place, token] = 1
    from_left, from_right = torch.empty_like(allowed), torch.ones_like(allowed)
    row = initial
    for place in range(n_words):
        reached = row * allowed[place]
        from_left[place] = reached / reached.sum()
        row = from_left[place] @ transition
    for place in reversed(range(n_words - 1)):
        follows = transition @ (allowed[place + 1] * from_right[place + 1])
        from_right[place] = follows / follows.sum()
    probs = from_left * from_right
    return probs / probs.sum(dim=1, keepdim=True)


def _fe_allowed(token_ids, like):
    allowed = torch.ones(len(token_ids), len(like), dtype=like.dtype)
    known = (token_ids != -1).nonzero().flatten()
    allowed[known] = 0
    allowed[known, token_ids[known]] = 1
    return allowed


def _fe_with(
    start=lambda initial: initial,
    chain=lambda transition: transition,
    uses_left=True,
    uses_right=True,
    scale=lambda row: row / row.sum(),
    past_blanks=True,
    right_to_words=lambda transition, later: transition @ later,
):
    """An exact filling with one thing changed."""

    def fill_exactly(initial, transition, token_ids):
        allowed = _fe_allowed(token_ids, initial)
        initial, transition = start(initial), chain(transition)
        uniform = torch.ones_like(initial)
        from_left, from_right = torch.ones_like(allowed), torch.ones_like(allowed)
        row = initial
        for place in range(len(token_ids)):
            from_left[place] = scale(row * allowed[place])
            stops = not past_blanks and token_ids[place] == -1
            row = uniform if stops else from_left[place] @ transition
        for place in reversed(range(len(token_ids) - 1)):
            later = allowed[place + 1] * from_right[place + 1]
            stops = not past_blanks and token_ids[place + 1] == -1
            from_right[place] = (
                uniform if stops else scale(right_to_words(transition, later))
            )
        probs = allowed.clone()
        probs = probs * from_left if uses_left else probs
        probs = probs * from_right if uses_right else probs
        return probs / probs.sum(dim=1, keepdim=True)

    return fill_exactly


def _fe_neighbours(left_of_blank):
    """The two words next to a blank; `left_of_blank` stands in for a left one that is hidden."""

    def fill_exactly(initial, transition, token_ids):
        probs = _fe_allowed(token_ids, initial)
        for place in (token_ids == -1).nonzero().flatten().tolist():
            if place == 0:
                probs[place] = initial
            elif token_ids[place - 1] == -1:
                probs[place] = left_of_blank(initial, transition, place)
            else:
                probs[place] = transition[token_ids[place - 1]]
            if place + 1 < len(token_ids) and token_ids[place + 1] != -1:
                probs[place] *= transition[:, token_ids[place + 1]]
        return probs / probs.sum(dim=1, keepdim=True)

    return fill_exactly


def _fe_frequency(initial, transition, place):
    return initial @ torch.linalg.matrix_power(transition, place)


def _fe_right_neighbour_only(initial, transition, token_ids):
    probs = _fe_with(uses_right=False)(initial, transition, token_ids)
    for place in range(len(token_ids) - 1):
        if token_ids[place] == -1 and token_ids[place + 1] != -1:
            probs[place] *= transition[:, token_ids[place + 1]]
    return probs / probs.sum(dim=1, keepdim=True)


def _fe_last_word_for_blank(initial, transition, token_ids):
    probs = _fe_allowed(token_ids, initial)
    for place in (token_ids == -1).nonzero().flatten().tolist():
        probs[place] = transition[token_ids[place - 1]] if place else initial
        if place + 1 < len(token_ids):
            probs[place] *= transition[:, token_ids[place + 1]]
    return probs / probs.sum(dim=1, keepdim=True)


def _fe_one_by_one(initial, transition, token_ids):
    """Fills blank after blank from the left, and takes what it has filled in for known."""
    allowed = _fe_allowed(token_ids, initial)
    right = _fe_from_right(transition, allowed)
    rows, row = [], initial
    for place in range(len(token_ids)):
        probs = row * allowed[place] * right[place]
        rows.append(probs / probs.sum())
        row = transition[rows[-1].argmax()]
    return torch.stack(rows)


def _fe_from_right(transition, allowed):
    rows = torch.ones_like(allowed)
    for place in reversed(range(len(rows) - 1)):
        rows[place] = transition @ (allowed[place + 1] * rows[place + 1])
        rows[place] /= rows[place].sum()
    return rows


def _fe_best_sentence(initial, transition, token_ids):
    allowed = _fe_allowed(token_ids, initial).log()
    score, pointers = initial.log() + allowed[0], []
    for place in range(1, len(token_ids)):
        score, pointer = (score[:, None] + transition.log()).max(dim=0)
        score = score + allowed[place]
        score = score - score.max()
        pointers.append(pointer)
    best = [int(score.argmax())]
    for pointer in reversed(pointers):
        best.insert(0, int(pointer[best[0]]))
    return torch.nn.functional.one_hot(torch.tensor(best), len(initial)).to(
        initial.dtype
    )


def _fe_known_rows_left(initial, transition, token_ids):
    probs = _fill_exactly(initial, transition, token_ids)
    return probs[token_ids == -1]


def _fe_prior_twice(initial, transition, token_ids):
    """What the left says times what the right says, each a probability of the word itself."""
    frequency = initial
    for _ in range(50):
        frequency = frequency @ transition
    left = _fe_with(uses_right=False)(initial, transition, token_ids)
    right = _fe_with(uses_left=False)(initial, transition, token_ids)
    probs = left * right * frequency
    return probs / probs.sum(dim=1, keepdim=True)


_SMALL_CHAIN = (
    torch.tensor([1.0, 0.0, 0.0]).double(),
    torch.tensor([[0.0, 0.5, 0.5], [0.25, 0.5, 0.25], [1.0, 0.0, 0.0]]).double(),
)
_LONG = torch.tensor([0, 1, -1, 2] * 400)

fill_exactly = CodeExercise(
    name="bert.fill_exactly",
    title="The best possible fill-in",
    minutes=45,
    difficulty=4,
    statement="""How good can a model be that fills blanks? For a language whose rule we know, that
can be computed. Take a bigram model for the language itself: the first word $w_1$ is drawn from
$P(w_1)$, each later one from $P(w_t \\mid w_{t-1})$. Some words of a sentence are hidden. Return,
for every place, the probability of each word there, given *all* words that are visible, before and
behind.

Between two visible words only the blanks matter, but three in a row already have
$\\text{vocab\\_size}^3$ fillings. You need not try them all. Let $l_t(w)$ be the probability of
everything visible up to place $t$, with $w$ at $t$, and $r_t(w)$ that of everything visible behind
it, if $w$ stands at $t$. Each follows from its neighbour, and

$$P(w_t = w \\mid \\text{visible}) = \\frac{l_t(w) \\, r_t(w)}{\\sum_v l_t(v) \\, r_t(v)}.$$

A text may have thousands of words, and then $l$ and $r$ become smaller than any number of the
computer. Divide each row by its sum on the way: the result stays the same. Why?

When it is right, draw sentences from a bigram model, train the chapter's BERT on them, and
compare.""",
    stub='''def fill_exactly(initial, transition, token_ids):
    """The probability of each word at each place, given all visible words.

    initial: Float[Tensor, "vocab_size"], float64, P of the first word; sums to 1.
    transition: Float[Tensor, "vocab_size vocab_size"], float64; transition[v, w] is P of w
        after v; rows sum to 1.
    token_ids: Int[Tensor, "time"], at least one; -1 at a blank, or else a word's id. There
        may be thousands. What is visible has a probability above 0.
    Returns Float[Tensor, "time vocab_size"], float64; each row sums to 1; at a visible word
        it is 1 for that word and 0 for all others.
    """
    ...
''',
    reference=_fill_exactly,
    make_inputs=_chain_and_sentence,
    hints=(
        "Make a tensor `allowed` of shape (time, vocab_size): at a blank 1 for all words, at a "
        "visible word 1 for it alone. `initial.new_ones(time, vocab_size)` makes it float64, as "
        "the inputs are. Going right, l at one place is `(l before) @ transition`, times `allowed` "
        "there. What does l begin with?",
        "Going left, r at the last place is 1 for every word. One place before, it is `transition "
        "@ (allowed * r)`, both from the place after. Divide each row by its sum as soon as you "
        "have it, and l * r once more at the end.",
    ),
    misconceptions=(
        Misconception(
            "left_only",
            _fe_with(uses_right=False),
            "You use what stands before a blank. What stands behind it counts as well: that is the "
            "point of both sides.",
        ),
        Misconception(
            "right_only",
            _fe_with(uses_left=False),
            "You use what stands behind a blank. What stands before it counts as well.",
        ),
        Misconception(
            "stops_at_blanks",
            _fe_with(past_blanks=False),
            "A blank that stands next to another blank learns nothing from that side. But the word "
            "beyond still says something: the sum runs over all that may stand between.",
        ),
        Misconception(
            "neighbours_and_initial",
            _fe_neighbours(lambda initial, transition, place: initial),
            "You use the words next to the blank, and `initial` where the left one is a blank, "
            "too. What stands beyond it still counts. And `initial` holds for the first word only.",
        ),
        Misconception(
            "neighbours_and_second",
            _fe_neighbours(lambda initial, transition, place: initial @ transition),
            "You use the words next to the blank, and `initial @ transition` where the left one is "
            "a blank, too. That holds for the second word only, and only if nothing else is seen.",
        ),
        Misconception(
            "neighbours_and_frequency",
            _fe_neighbours(_fe_frequency),
            "You use the words next to the blank. Where the left one is a blank, too, you take how "
            "probable a word is there if nothing is visible. What is visible beyond still counts.",
        ),
        Misconception(
            "neighbours_and_mean",
            _fe_neighbours(lambda initial, transition, place: transition.mean(dim=0)),
            "You use the words next to the blank. Where the left one is a blank, too, you take all "
            "words there for equally probable. What stands beyond says which are more probable.",
        ),
        Misconception(
            "right_neighbour_only",
            _fe_right_neighbour_only,
            "From the left all is right. From the right you use the next word only. If that is a "
            "blank, too, what stands behind it still counts.",
        ),
        Misconception(
            "last_word_for_blank",
            _fe_last_word_for_blank,
            "The -1 of a blank is used as an index: `transition[-1]` is the row of the *last* "
            "word. And a blank that stands next to another must look beyond it.",
        ),
        Misconception(
            "initial_forgotten",
            _fe_with(start=torch.ones_like),
            "You begin as if all first words were equally probable. Begin with `initial`.",
        ),
        Misconception(
            "transposed",
            _fe_with(chain=lambda transition: transition.T),
            "You read the transitions the wrong way round. The *row* is the word before: "
            "`transition[v, w]` is P of w after v.",
        ),
        Misconception(
            "right_transposed",
            _fe_with(right_to_words=lambda transition, later: later @ transition),
            "From the left all is right. From the right you use the same product, as if the "
            "sentence were read backwards. Sum over the *later* word: `transition @ later`.",
        ),
        Misconception(
            "prior_twice",
            _fe_prior_twice,
            "You multiply two probabilities *of the word*, one given the left side, one given the "
            "right. So its own frequency counts twice. From the right it must be the probability "
            "of what is *visible there*, given the word.",
        ),
        Misconception(
            "best_sentence",
            _fe_best_sentence,
            "You find the one most probable sentence, and are certain of it. Asked for are "
            "probabilities: sum over the fillings where you take the largest.",
        ),
        Misconception(
            "one_by_one",
            _fe_one_by_one,
            "You fill the blanks from left to right, and take what you have filled in for known. "
            "It was only probable. Leave the blanks open.",
        ),
        Misconception(
            "blanks_only",
            _fe_known_rows_left,
            "The rows of the blanks are right. The visible words have rows, too: 1 for the word "
            "that stands there.",
        ),
        Misconception(
            "unscaled",
            _fe_with(scale=lambda row: row),
            "Right for short sentences. In a long one the products become 0, and 0/0 is no number. "
            "Divide each row by its sum on the way.",
        ),
    ),
    edge_cases=(
        (*_SMALL_CHAIN, torch.tensor([-1, -1, 0, -1])),
        (*_SMALL_CHAIN, torch.tensor([-1])),
        (*_SMALL_CHAIN, _LONG),
    ),
)

# ------------------------------------------------------------------------ 6 one matrix, twice


def _vectors_and_blanks(generator):
    token_vectors = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    seen = torch.randint(7, (6,), generator=generator)
    seen[torch.randperm(6, generator=generator)[:3]] = 4
    places = torch.randperm(6, generator=generator)[:2]
    targets = torch.randint(7, (2,), generator=generator)
    return 0.8 * token_vectors, seen, places, targets


def _one_matrix(token_vectors, seen, places, targets):
    root = math.sqrt(token_vectors.shape[1])
    x = token_vectors[seen]
    weights = (x @ x.T / root).softmax(dim=1)
    hidden = x + weights @ x
    probs = (hidden[places] @ token_vectors.T).softmax(dim=1)
    rows = torch.arange(len(places))
    loss = -probs[rows, targets].log().mean()

    of_logits = probs.clone()
    of_logits[rows, targets] -= 1
    of_logits /= len(places)
    gradient = of_logits.T @ hidden[places]  # the head
    of_hidden = torch.zeros_like(hidden)
    of_hidden[places] = of_logits @ token_vectors
    of_weights = of_hidden @ x.T
    mean = (weights * of_weights).sum(dim=1, keepdim=True)
    of_scores = weights * (of_weights - mean) / root
    of_x = of_hidden + weights.T @ of_hidden  # past the attention, and as values
    of_x = of_x + of_scores @ x + of_scores.T @ x  # as queries, and as keys
    gradient.index_add_(0, seen, of_x)
    return loss, gradient


def _om_with(
    paths=("head", "residual", "value", "query", "key"),
    through_softmax=lambda weights, of_weights: (
        weights * (of_weights - (weights * of_weights).sum(dim=1, keepdim=True))
    ),
    root=math.sqrt,
    of_loss=lambda probs, right: (probs - right) / len(probs),
    loss_of=torch.mean,
    value=lambda weights, of_hidden: weights.T @ of_hidden,
    collect=lambda gradient, seen, of_x: gradient.index_add(0, seen, of_x),
):
    """Loss and gradient with one thing changed."""

    def one_matrix(token_vectors, seen, places, targets):
        x = token_vectors[seen]
        size = x.shape[1]
        weights = (x @ x.T / math.sqrt(size)).softmax(dim=1)
        hidden = x + weights @ x
        probs = (hidden[places] @ token_vectors.T).softmax(dim=1)
        right = torch.nn.functional.one_hot(targets, len(token_vectors))
        loss = loss_of(-(probs * right).sum(dim=1).log())

        of_logits = of_loss(probs, right)
        of_hidden = torch.zeros_like(hidden)
        of_hidden[places] = of_logits @ token_vectors
        of_scores = through_softmax(weights, of_hidden @ x.T) / root(size)
        parts = {
            "residual": of_hidden,
            "value": value(weights, of_hidden),
            "query": of_scores @ x,
            "key": of_scores.T @ x,
        }
        of_x = torch.zeros_like(x)
        for name, part in parts.items():
            if name in paths:
                of_x = of_x + part
        gradient = torch.zeros_like(token_vectors)
        if "head" in paths:
            gradient = of_logits.T @ hidden[places]
        return loss, collect(gradient, seen, of_x)

    return one_matrix


def _om_last_one_wins(gradient, seen, of_x):
    gradient = gradient.clone()
    for token, row in zip(seen.tolist(), of_x, strict=True):
        gradient[token] = row
    return gradient


def _om_counts_once(gradient, seen, of_x):
    before, gradient = gradient, gradient.clone()
    for token, row in zip(seen.tolist(), of_x, strict=True):
        gradient[token] = before[token] + row
    return gradient


def _om_gradient_only(token_vectors, seen, places, targets):
    return _one_matrix(token_vectors, seen, places, targets)[1]


one_matrix = CodeExercise(
    name="bert.one_matrix",
    title="Five ways back to one matrix",
    minutes=75,
    difficulty=5,
    statement="""In BERT the matrix of the token vectors stands at both ends: it makes vectors of
the pieces at the bottom, and logits of vectors at the top. So its gradient comes from many sides.
Find it without autograd, in the smallest BERT of all. It has one block, one head, no norm, no
positions, and no other weights than this matrix $E$, (vocab_size, d). With $X$ the rows of $E$ for
the pieces that are seen, (time, d),

$$A = \\text{softmax}\\!\\left(\\frac{X X^T}{\\sqrt{d}}\\right), \\quad
H = X + A X, \\quad \\text{logits} = H_{\\text{places}} \\, E^T.$$

The softmax of $A$ is taken row by row. The logits are computed at the chosen places only. The loss
is the mean over these places of minus log P of the piece that stood there, in nats.

Return the loss and its gradient at $E$. Five ways lead back: the head; past the attention; and
through it as value, as query and as key. Compare each with autograd on its own: `detach()` closes
the others. (The check looks at the numbers only. It would accept those of `backward()`, too, but
these five ways are the point of the exercise.)

When it is right, look at the row of `[MASK]` in the gradient, and at that of a piece which does not
stand in the text. By which ways did they get what they have?""",
    stub='''def one_matrix(token_vectors, seen, places, targets):
    """The loss of a tiny BERT, and its gradient at the only matrix.

    token_vectors: Float[Tensor, "vocab_size d"], E.
    seen: Int[Tensor, "time"], the ids that are read; an id may stand there many times.
    places: Int[Tensor, "chosen"], at least one, each at most once, in any order.
    targets: Int[Tensor, "chosen"], the ids to be guessed, in the order of `places`.
    Returns the loss, in nats, a float or Float[Tensor, ""], and its gradient at E,
        Float[Tensor, "vocab_size d"].
    """
    ...
''',
    reference=_one_matrix,
    make_inputs=_vectors_and_blanks,
    hints=(
        "Go up first and keep X, A, H and the probabilities. At the top the gradient at the logits "
        "is (probabilities - 1 at the target) / number of places; call it G. The head gives E the "
        "part `G.T @ H[places]`, and H gets `G @ E` at the chosen places, 0 elsewhere; call it D.",
        "X gets D past the attention, and `A.T @ D` as value. A gets `B = D @ X.T`, and the scores "
        "`S = A * (B - (A * B).sum(dim=1, keepdim=True)) / sqrt(d)`. X gets `S @ X` as query and "
        "`S.T @ X` as key. At the end every row of that is added to the row of its piece in E: "
        "`index_add_`.",
    ),
    misconceptions=(
        Misconception(
            "no_head",
            _om_with(paths=("residual", "value", "query", "key")),
            "The part of the head is missing: E also makes the logits. There every piece of the "
            "vocabulary gets a gradient, whether it was seen or not.",
        ),
        Misconception(
            "head_only",
            _om_with(paths=("head",)),
            "You have the part of the head. The rows of E are also the vectors that are read.",
        ),
        Misconception(
            "no_residual",
            _om_with(paths=("head", "value", "query", "key")),
            "The way *past* the attention is missing: H is X plus something.",
        ),
        Misconception(
            "no_value",
            _om_with(paths=("head", "residual", "query", "key")),
            "The way through the values is missing: A is multiplied by X.",
        ),
        Misconception(
            "no_query",
            _om_with(paths=("head", "residual", "value", "key")),
            "The way through the queries is missing: the first X in X X^T.",
        ),
        Misconception(
            "no_key",
            _om_with(paths=("head", "residual", "value", "query")),
            "The way through the keys is missing: the second X in X X^T.",
        ),
        Misconception(
            "weights_are_constants",
            _om_with(paths=("head", "residual", "value")),
            "You take A for a constant. It is made of X, too: twice, as query and as key.",
        ),
        Misconception(
            "one_weight_alone",
            _om_with(
                through_softmax=lambda weights, of_weights: (
                    weights * (1 - weights) * of_weights
                )
            ),
            "Through the softmax you let each weight depend on its own score only. It depends on "
            "all scores of its row.",
        ),
        Misconception(
            "past_the_softmax",
            _om_with(through_softmax=lambda weights, of_weights: of_weights),
            "The gradient goes from A to the scores as if there were no softmax.",
        ),
        Misconception(
            "no_root",
            _om_with(root=lambda size: 1),
            "The scores are divided by the root of d on the way up. So is their gradient on the "
            "way down.",
        ),
        Misconception(
            "value_not_transposed",
            _om_with(value=lambda weights, of_hidden: weights @ of_hidden),
            "Going down to the values, A must be transposed: each token gets the gradient of all "
            "those that attended to it.",
        ),
        Misconception(
            "gradient_of_the_sum",
            _om_with(of_loss=lambda probs, right: probs - right),
            "The loss is right, the gradient is that of the sum. Divide it by the number of "
            "places.",
        ),
        Misconception(
            "sum",
            _om_with(of_loss=lambda probs, right: probs - right, loss_of=torch.sum),
            "You take the sum over the places. Asked for is the mean.",
        ),
        Misconception(
            "target_forgotten",
            _om_with(of_loss=lambda probs, right: probs / len(probs)),
            "At the logits the gradient is the probabilities, minus 1 *at the target*.",
        ),
        Misconception(
            "uphill",
            _om_with(of_loss=lambda probs, right: (right - probs) / len(probs)),
            "All signs are turned round: that is the gradient of log P. The loss is minus log P.",
        ),
        Misconception(
            "counts_once",
            _om_with(collect=_om_counts_once),
            "A piece that stands there several times gets the gradient of one place only. "
            "`gradient[seen] += ...` adds once for each id; `index_add_` adds every row.",
        ),
        Misconception(
            "last_one_wins",
            _om_with(collect=_om_last_one_wins),
            "You write the rows of the seen pieces over what was there. They are added to the part "
            "of the head, and to each other.",
        ),
        Misconception(
            "gradient_only",
            _om_gradient_only,
            "The gradient is right. The loss should come first: `return loss, gradient`.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]]).double(),
            torch.tensor([2]),
            torch.tensor([0]),
            torch.tensor([1]),
        ),
    ),
)
