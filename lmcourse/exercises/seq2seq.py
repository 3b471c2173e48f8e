"""Exercises of chapter 4: what padding costs, what a decoder reads, and how to search."""

import heapq
import math
from collections import Counter

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
from lmcourse.exercises.compare import show

# ------------------------------------------------------------------------------------ quizzes

what_it_reads = Choice(
    name="seq2seq.what_it_reads",
    title="What does the decoder read next?",
    minutes=1,
    difficulty=1,
    question=(
        "A translator is trained with teacher forcing. The target is `<s> 토끼 는 잔다 </s>`. "
        "After `<s>` it gives *곰* the highest probability. That is wrong. Which token does the "
        "decoder read next?"
    ),
    options=(
        Option(
            "*토끼*",
            correct=True,
            why=(
                "It reads what it should have written. The mistake costs loss at this step, and "
                "the next step starts from the truth all the same."
            ),
        ),
        Option(
            "*곰*",
            why=(
                "That is what it does later, when it translates and no target is known. In "
                "training with teacher forcing it reads the true word."
            ),
        ),
        Option(
            "none: the sentence is given up after a mistake",
            why=(
                "Then most sentences would teach almost nothing at first. Every step of the "
                "target is trained, whatever was said at the steps before."
            ),
        ),
        Option(
            "`<s>` again, until it says *토끼*",
            why="Each target token is predicted once. Then the decoder moves on.",
        ),
    ),
)

_LENGTHS = (9, 7, 3, 3, 2)

saved_by_packing = Number(
    name="seq2seq.saved_by_packing",
    title="What does packing save?",
    minutes=4,
    difficulty=2,
    question=(
        "A batch has five sentences of 9, 7, 3, 3 and 2 tokens. A padded batch computes a new "
        "hidden state for every sentence at every time step. A packed batch does so for real "
        "tokens only. How many hidden states does packing save?"
    ),
    answer=len(_LENGTHS) * max(_LENGTHS) - sum(_LENGTHS),
    tolerance=0.1,
    unit="",
    why=(
        "Padded: 5 sentences times 9 steps, 45 states. Real tokens: 9 + 7 + 3 + 3 + 2 = 24. The "
        "rest, 21, would be computed and thrown away. The number of time steps stays 9."
    ),
    wrong=(
        WrongAnswer(24, "Those are the states that packing *does* compute."),
        WrongAnswer(45, "Those are all the states of the padded batch."),
        WrongAnswer(
            0,
            "No time *step* is saved: the longest sentence still takes 9. But in most of the "
            "steps some sentences are left out.",
        ),
        WrongAnswer(
            4,
            "You count the sentences that have padding. How many padding tokens have they?",
        ),
        WrongAnswer(
            7,
            "That is the padding of the shortest sentence. Add up that of all five.",
        ),
    ),
)

one_step_of_training = Order(
    name="seq2seq.one_step_of_training",
    title="One step of training, in order",
    minutes=2,
    difficulty=1,
    question="A translator learns from one batch of pairs. Put the steps in order.",
    items=(
        "pad the sentences of the batch to the same length",
        "let the encoder read the sources",
        "make the decoder's first hidden state from the context vector",
        "let the decoder read the true targets and score the next words",
        "take the mean of -log P over the real target words",
        "send the gradient back, through the decoder into the encoder",
        "change the parameters of both",
    ),
    why=(
        "Nobody tells the encoder what a good context vector is. It learns that from the gradient "
        "that comes back through the decoder."
    ),
    wrong=(
        WrongAnswer(
            (
                "pad the sentences of the batch to the same length",
                "let the encoder read the sources",
                "make the decoder's first hidden state from the context vector",
                "let the decoder read the true targets and score the next words",
                "take the mean of -log P over the real target words",
                "change the parameters of both",
                "send the gradient back, through the decoder into the encoder",
            ),
            "The gradient says how to change the parameters. It must be there first.",
        ),
        WrongAnswer(
            (
                "let the encoder read the sources",
                "pad the sentences of the batch to the same length",
                "make the decoder's first hidden state from the context vector",
                "let the decoder read the true targets and score the next words",
                "take the mean of -log P over the real target words",
                "send the gradient back, through the decoder into the encoder",
                "change the parameters of both",
            ),
            "The encoder reads one tensor for the whole batch. So the sentences must have the "
            "same length before it reads.",
        ),
    ),
)

a_greedy_choice = Predict(
    name="seq2seq.a_greedy_choice",
    title="A greedy choice",
    minutes=3,
    difficulty=2,
    question="A decoder writes two words. What does this print?",
    code=(
        "after = {\n"
        '    "<s>": {"a": 0.6, "the": 0.4},\n'
        '    "a": {"dog": 0.4, "cat": 0.3, "cow": 0.3},\n'
        '    "the": {"dog": 0.1, "cat": 0.9},\n'
        "}\n"
        'first = max(after["<s>"], key=after["<s>"].get)\n'
        "second = max(after[first], key=after[first].get)\n"
        "print(first, second)\n"
        "probs = {\n"
        '    (one, two): after["<s>"][one] * after[one][two]\n'
        '    for one in after["<s>"]\n'
        "    for two in after[one]\n"
        "}\n"
        "print(*max(probs, key=probs.get))"
    ),
    why=(
        "Greedy search takes *a*, and then *dog*: 0.6 * 0.4 = 0.24. But *the cat* has "
        "0.4 * 0.9 = 0.36. The first choice was best for one step only. A beam of width 2 keeps "
        "both beginnings and finds it."
    ),
    wrong=(
        WrongAnswer(
            "a dog\na dog",
            "The second line looks at whole pairs. Multiply along each of the five paths.",
        ),
        WrongAnswer(
            "the cat\nthe cat",
            "The first line is greedy: it decides on the first word before it looks further.",
        ),
        WrongAnswer(
            "a cat\nthe cat",
            "The pair that is most probable is right. The greedy one goes on from *a* with its "
            "most probable word.",
        ),
        WrongAnswer(
            "a dog\na cat",
            "Greedy is right. Then compare 0.6 * 0.3 with 0.4 * 0.9.",
        ),
    ),
)

a_wider_beam = Choice(
    name="seq2seq.a_wider_beam",
    title="A wider beam, a worse translation",
    minutes=3,
    difficulty=3,
    question=(
        "Somebody widens the beam of a translator from 5 to 500. log P of the translations goes "
        "up. People who read them like them less: many stop too early. What does this show?"
    ),
    options=(
        Option(
            "the model itself prefers these short translations",
            correct=True,
            why=(
                "The search does its work: it finds what the model holds most probable. Each "
                "further word costs probability, so short ones are in favour. The narrow beam "
                "missed them. Its mistakes hid one of the model's."
            ),
        ),
        Option(
            "the beam search has a bug",
            why=(
                "It is asked for a high log P, and it finds a higher one. That the result is "
                "worse to read is the model's mistake, not the search's."
            ),
        ),
        Option(
            "a wide beam is nearer to greedy search",
            why="The other way round: width 1 is greedy search.",
        ),
        Option(
            "the wide beam loses good beginnings that the narrow one keeps",
            why=(
                "Then log P would rather go down. Here it goes up: what is found is more probable "
                "than what was found before."
            ),
        ),
    ),
)

# ---------------------------------------------------------------------------- 1 a broken mean


def _losses_of_a_batch(generator):
    losses = 4 * torch.rand(3, 7, generator=generator, dtype=torch.float64)
    lengths = 1 + torch.randperm(7, generator=generator)[:3]
    return losses, torch.arange(7) < lengths[:, None]


def _mend_mean_loss(token_losses, mask):
    return token_losses[mask].mean()


def _ml_as_it_was(token_losses, mask):
    return (token_losses * mask).mean()


def _ml_only_infinity(token_losses, mask):
    return torch.where(mask, token_losses, 0.0).mean()


def _ml_only_count(token_losses, mask):
    return (token_losses * mask).sum() / mask.sum()


def _ml_mean_of_sentences(token_losses, mask):
    sums = torch.where(mask, token_losses, 0.0).sum(dim=1)
    return (sums / mask.sum(dim=1)).mean()


def _ml_per_sentence(token_losses, mask):
    return token_losses[mask].sum() / len(mask)


def _ml_per_step(token_losses, mask):
    return token_losses[mask].sum() / mask.shape[1]


def _ml_padding(token_losses, mask):
    return token_losses[~mask].mean()


def _ml_no_mask(token_losses, mask):
    return token_losses.mean()


def _ml_sum(token_losses, mask):
    return token_losses[mask].sum()


_INF, _NAN = math.inf, math.nan

mend_mean_loss = CodeExercise(
    name="seq2seq.mend_mean_loss",
    title="Mend a mean that counts padding",
    minutes=8,
    difficulty=1,
    statement="""This function should give the mean loss of the real tokens in a padded batch. It
runs, it raises nothing, the result is one number, and it is wrong twice:

```python
def mend_mean_loss(token_losses, mask):
    return (token_losses * mask).mean()
```

Mend it. Every real token counts the same, in a long sentence as in a short one. The padding counts
nothing, whatever stands there. What stands there may be `inf` or `nan`: the model was asked for a
word that does not exist.""",
    stub='''def mend_mean_loss(token_losses, mask):
    """The mean loss of the real tokens.

    token_losses: Float[Tensor, "batch target"], -log P in nats; at padding, anything.
    mask: Bool[Tensor, "batch target"], True for a real token. At least one is True.
    Returns one number (a tensor without axes, or a float).
    """
    ...
''',
    reference=_mend_mean_loss,
    make_inputs=_losses_of_a_batch,
    hints=(
        "Try it with losses that are all 2. The mean of the real tokens is 2 then. Is it? By what "
        "does `.mean()` divide? And what is `inf * 0`?",
        "`token_losses[mask]` picks the real tokens out, and leaves a tensor with one axis.",
    ),
    misconceptions=(
        Misconception(
            "as_it_was",
            _ml_as_it_was,
            "That is the broken mean as it was: the padding adds nothing to the sum, but `.mean()` "
            "divides by the number of *all* places.",
        ),
        Misconception(
            "only_infinity",
            _ml_only_infinity,
            "One mistake is mended: what stands at the padding is gone. The other is still there: "
            "`.mean()` divides by the number of *all* places.",
        ),
        Misconception(
            "only_the_count",
            _ml_only_count,
            "You divide by the right number. The other mistake is still there: `inf * 0` and "
            "`nan * 0` are not 0, they are nan. Pick, do not multiply.",
        ),
        Misconception(
            "mean_of_sentences",
            _ml_mean_of_sentences,
            "You take the mean of each sentence, and then the mean of these. A token of a short "
            "sentence then counts more than one of a long sentence.",
        ),
        Misconception(
            "per_sentence",
            _ml_per_sentence,
            "The sum is right. You divide by the number of sentences: that is the loss of a "
            "sentence, not of a token.",
        ),
        Misconception(
            "per_step",
            _ml_per_step,
            "The sum is right. You divide by the length of the batch, which is the padded one.",
        ),
        Misconception(
            "padding_only",
            _ml_padding,
            "You take the mean of the padding. In this course True is a real token.",
        ),
        Misconception(
            "no_mask",
            _ml_no_mask,
            "You take the mean of everything, padding included. The mask is not used.",
        ),
        Misconception(
            "sum",
            _ml_sum,
            "That is the sum. A mean does not grow with the size of the batch.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([[1.0, 2.0, 3.0], [4.0, _INF, _INF]]),
            torch.tensor([[True, True, True], [True, False, False]]),
        ),
        (
            torch.tensor([[0.5, 1.5, _NAN, _INF]]),
            torch.tensor([[True, True, False, False]]),
        ),
    ),
)

# ----------------------------------------------------------------------- 2 scheduled sampling


def _target_and_coins(generator):
    words = torch.randint(2, 7, (10,), generator=generator).tolist()
    logits = 2 * torch.randn(7, 7, generator=generator, dtype=torch.float64)
    coins = (torch.rand(10, generator=generator) < 0.4).tolist()
    return [0, *words, 1], logits, coins


def _scheduled_loss(target_ids, logits, coins):
    log_probs = logits.log_softmax(dim=1)
    read, losses = target_ids[0], []
    for target, coin in zip(target_ids[1:], [*coins, True], strict=True):
        losses.append(-float(log_probs[read, target]))
        read = target if coin else int(logits[read].argmax())
    return sum(losses) / len(losses)


def _sl_teacher(target_ids, logits, coins):
    return _scheduled_loss(target_ids, logits, [True] * len(coins))


def _sl_free(target_ids, logits, coins):
    return _scheduled_loss(target_ids, logits, [False] * len(coins))


def _sl_swapped(target_ids, logits, coins):
    return _scheduled_loss(target_ids, logits, [not coin for coin in coins])


def _sl_late(target_ids, logits, coins):
    return _scheduled_loss(target_ids, logits, [True, *coins][: len(coins)])


def _sl_from_teacher(target_ids, logits, coins):
    written = logits[target_ids[:-1]].argmax(dim=1).tolist()
    read = [target_ids[0]]
    for target, own, coin in zip(target_ids[1:-1], written, coins, strict=False):
        read.append(target if coin else own)
    log_probs = logits.log_softmax(dim=1)
    return -float(log_probs[read, target_ids[1:]].mean())


def _sl_word_too_far(target_ids, logits, coins):
    log_probs = logits.log_softmax(dim=1)
    read, losses = target_ids[0], []
    for target, coin in zip(target_ids[1:], [*coins, True], strict=True):
        losses.append(-float(log_probs[read, target]))
        read = target if coin else int(logits[target].argmax())
    return sum(losses) / len(losses)


def _sl_own_is_right(target_ids, logits, coins):
    log_probs = logits.log_softmax(dim=1)
    read, losses = target_ids[0], []
    for target, coin in zip(target_ids[1:], [*coins, True], strict=True):
        said = target if coin else int(logits[read].argmax())
        losses.append(-float(log_probs[read, said]))
        read = said
    return sum(losses) / len(losses)


def _sl_stays_alone(target_ids, logits, coins):
    n_true = coins.index(False) if False in coins else len(coins)
    alone = [True] * n_true + [False] * (len(coins) - n_true)
    return _scheduled_loss(target_ids, logits, alone)


def _sl_sum(target_ids, logits, coins):
    return _scheduled_loss(target_ids, logits, coins) * (len(target_ids) - 1)


scheduled_loss = CodeExercise(
    name="seq2seq.scheduled_loss",
    title="A coin between teacher and pupil",
    minutes=15,
    difficulty=2,
    statement="""With teacher forcing the decoder never reads its own mistakes. When it translates,
it must. Bengio et al. (2015) let a coin decide at each step. Heads: it reads the true word. Tails:
it reads the word that it has *just written itself*, its most probable one. At first the coin nearly
always falls on heads, later less and less often.

What it *should* write does not change: the loss is $-\\log P$ of the true word at every step.

Write this loss for one sentence. The decoder is as small as can be: it sees the word it has just
read and nothing else. Row `u` of `logits` scores what follows `u`. The coins have been thrown.""",
    stub='''def scheduled_loss(target_ids, logits, coins):
    """The mean loss of a target of n tokens; coins decide what the decoder reads.

    target_ids: list of n ints, from `<s>` (0) to `</s>` (1). The decoder first reads
        `<s>`, always. It should write the n - 1 others.
    logits: Float[Tensor, "vocab_size vocab_size"]; logits[u, v] scores v after u.
    coins: list of n - 2 bools; coins[0] decides what is read after the first word
        has been written. True: the true word. False: the one just written.
    Returns a float: the mean of -log P over the n - 1 predictions, in nats.
    """
    ...
''',
    reference=_scheduled_loss,
    make_inputs=_target_and_coins,
    hints=(
        "Go step by step with a variable `read`, at first `target_ids[0]`. At each step: score "
        "the true word, then decide what to read next.",
        "The word just written is `int(logits[read].argmax())`. It depends on what was read, and "
        "that may have been an own word too. So this cannot be done for all steps at once.",
    ),
    misconceptions=(
        Misconception(
            "teacher_forcing",
            _sl_teacher,
            "That is teacher forcing: your decoder reads the true word at every step. Where the "
            "coin is False it should read its own.",
        ),
        Misconception(
            "never_the_teacher",
            _sl_free,
            "Your decoder reads its own words only. Where the coin is True it should read the "
            "true one.",
        ),
        Misconception(
            "swapped",
            _sl_swapped,
            "Your coin is the wrong way round: True stands for the true word.",
        ),
        Misconception(
            "coin_too_late",
            _sl_late,
            "Your coins come one step late. `coins[0]` decides already what is read after the "
            "first prediction.",
        ),
        Misconception(
            "all_at_once",
            _sl_from_teacher,
            "You first let the decoder read the true words, and note what it writes. But after an "
            "own word it might have written something else. Go step by step.",
        ),
        Misconception(
            "one_word_too_far",
            _sl_word_too_far,
            "You ask what follows the *true* word, and read that. This skips a place. The word "
            "just written is the best one after what was *read*.",
        ),
        Misconception(
            "own_word_is_right",
            _sl_own_is_right,
            "Where the coin is False you also take its own word as the right answer. Then it is "
            "praised for its mistakes. The loss always asks for the true word.",
        ),
        Misconception(
            "alone_for_ever",
            _sl_stays_alone,
            "After the first False your decoder is left alone to the end. Each step has a coin of "
            "its own, so the teacher may come back.",
        ),
        Misconception(
            "sum",
            _sl_sum,
            "That is the sum over the predictions. Divide by their number, n - 1.",
        ),
    ),
    edge_cases=(
        ([0, 1], torch.tensor([[1.0, 2.0], [0.0, 0.5]]).double(), []),
        (
            [0, 2, 2, 1],
            torch.tensor([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0], [0.0, 2.0, 1.0]]).double(),
            [False, False],
        ),
    ),
)

# -------------------------------------------------------------------------------------- 3 chrF


def _two_korean_texts(generator):
    syllables = "가나다라는를"
    draw = torch.randint(len(syllables), (11,), generator=generator).tolist()
    gold = [syllables[i] for i in draw]
    ours = list(gold)
    for place in torch.randperm(11, generator=generator)[:3].tolist():
        ours[place] = syllables[(draw[place] + 1) % len(syllables)]
    ours = ours[: int(torch.randint(7, 10, (), generator=generator))]
    gold.insert(4, " ")
    gold.insert(8, " ")
    ours.insert(3, " ")
    max_n = int(torch.randint(2, 5, (), generator=generator))
    return "".join(ours), "".join(gold), max_n


def _chrf(written, target, max_n):
    texts = [text.replace(" ", "") for text in (written, target)]
    precisions, recalls = [], []
    for n in range(1, min(max_n, *map(len, texts)) + 1):
        ours, gold = (
            Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in texts
        )
        shared = (ours & gold).total()
        precisions.append(shared / ours.total())
        recalls.append(shared / gold.total())
    precision = sum(precisions) / len(precisions)
    recall = sum(recalls) / len(recalls)
    if precision + recall == 0:
        return 0.0
    return 5 * precision * recall / (4 * precision + recall)


def _chrf_with(
    spaces=False, count=Counter, cut=True, combine=None, beta=2.0, first=False
):
    """A chrF with one thing changed."""

    def score(written, target, max_n):
        texts = [t if spaces else t.replace(" ", "") for t in (written, target)]
        longest = min(max_n, *map(len, texts)) if cut else max_n
        rows = []
        for n in range(longest if first else 1, longest + 1):
            ours, gold = (
                count(text[i : i + n] for i in range(len(text) - n + 1))
                for text in texts
            )
            rows.append(((ours & gold).total(), ours.total(), gold.total()))
        return (combine or _mean_of_orders)(rows, beta)

    return score


def _f_score(precision, recall, beta):
    if precision + recall == 0:
        return 0.0
    weight = beta * beta
    return (1 + weight) * precision * recall / (weight * precision + recall)


def _mean_of_orders(rows, beta):
    precision = sum(same / max(n, 1) for same, n, _ in rows) / len(rows)
    recall = sum(same / max(n, 1) for same, _, n in rows) / len(rows)
    return _f_score(precision, recall, beta)


def _mean_of_f(rows, beta):
    scores = [
        _f_score(same / ours, same / gold, beta) if same else 0.0
        for same, ours, gold in rows
    ]
    return sum(scores) / len(scores)


def _pooled(rows, beta):
    same, ours, gold = (sum(column) for column in zip(*rows, strict=True))
    return _f_score(same / ours, same / gold, beta)


def _precision_only(rows, beta):
    return sum(same / ours for same, ours, _ in rows) / len(rows)


def _recall_only(rows, beta):
    return sum(same / gold for same, _, gold in rows) / len(rows)


def _kinds(ngrams):
    return Counter(set(ngrams))


chrf = CodeExercise(
    name="seq2seq.chrf",
    title="Half right: count what characters share",
    minutes=25,
    difficulty=3,
    statement="""Exact match says 0 to a translation with one wrong particle. Popović (2015) counts
character n-grams instead. Her score is called chrF. It suits languages such as Korean, where a
word has many endings.

First take all spaces out of both texts. Then, for each $n$ from 1 to `max_n`, cut both into
character n-grams. An n-gram is *shared* as often as it occurs in both: 3 times in one and 2 times
in the other makes 2. **Precision** is the share of the written n-grams that are shared.
**Recall** is the share of the target's n-grams that are shared. Let $p$ be the mean of the
precisions over all $n$, and $r$ the mean of the recalls. Then

$$\\text{chrF} = \\frac{(1 + 2^2) \\, p \\, r}{2^2 \\, p + r}.$$

The 2 says that recall counts twice as much as precision. Where $p$ and $r$ are 0, the score is 0.
If one of the texts is shorter than some $n$, there are no n-grams: leave that $n$ out.

As a check: `chrf("가나 다", "가나라 나", 2)` has $p = (2/3 + 1/2) / 2$ and
$r = (2/4 + 1/3) / 2$.""",
    stub='''def chrf(written, target, max_n):
    """How much of the characters of two texts is shared.

    written: a text, the translation to judge; at least one character besides spaces.
    target: a text, the gold translation; likewise.
    max_n: int, at least 1, the longest n-grams.
    Returns a float from 0 (nothing is shared) to 1 (the same but for spaces).
    """
    ...
''',
    reference=_chrf,
    make_inputs=_two_korean_texts,
    hints=(
        "`Counter(text[i : i + n] for i in range(len(text) - n + 1))` counts the n-grams. For two "
        "counters, `(ours & gold)` takes the smaller count of each; `.total()` adds up.",
        "Collect a precision and a recall for each n. Take the mean of each of the two lists, and "
        "put the two means into the formula, once. Take care of p = r = 0.",
    ),
    misconceptions=(
        Misconception(
            "spaces_count",
            _chrf_with(spaces=True),
            "You count the spaces as characters. Take them out of both texts first.",
        ),
        Misconception(
            "each_kind_once",
            _chrf_with(count=_kinds),
            "You count each *different* n-gram once. One that occurs twice in both texts is shared "
            "twice.",
        ),
        Misconception(
            "equal_weight",
            _chrf_with(beta=1.0),
            "That is the F-score with equal weights, 2pr / (p + r). Here recall counts twice as "
            "much: see the 4 in the formula.",
        ),
        Misconception(
            "precision_counts_more",
            _chrf_with(beta=0.5),
            "Precision and recall have changed places. Precision divides by what was *written*, "
            "recall by the *target*.",
        ),
        Misconception(
            "mean_of_scores",
            _chrf_with(combine=_mean_of_f),
            "You take a score for each n, and the mean of these. First take the means of precision "
            "and recall, then one score.",
        ),
        Misconception(
            "all_in_one_pot",
            _chrf_with(combine=_pooled),
            "You throw the n-grams of all n together. There are more short ones than long ones, so "
            "the short ones weigh more. Each n should weigh the same.",
        ),
        Misconception(
            "longest_only",
            _chrf_with(first=True),
            "You look at the longest n-grams only. Take every n from 1 to `max_n`.",
        ),
        Misconception(
            "precision_only",
            _chrf_with(combine=_precision_only),
            "That is the precision. A translation of one right character would be perfect. Recall "
            "must have its say.",
        ),
        Misconception(
            "recall_only",
            _chrf_with(combine=_recall_only),
            "That is the recall. Writing every word there is would be perfect. Precision must "
            "have its say.",
        ),
        Misconception(
            "short_texts",
            _chrf_with(cut=False),
            "Right for texts that are long enough. Where a text is shorter than n there are no "
            "n-grams. Leave that n out; a 0 for it would pull the mean down.",
        ),
    ),
    edge_cases=(
        ("토끼", "토끼 는 잔다", 4),
        ("곰", "새 를", 3),
        ("작은 새", "작은 새", 6),
        ("가나 다", "가나라 나", 2),
    ),
)

# ------------------------------------------------------------------------- 4 who can still win


def _a_search(generator):
    finished = -4 - 8 * torch.rand(4, generator=generator, dtype=torch.float64)
    lengths = 4 + torch.randperm(12, generator=generator)[:4]
    open_log_probs = -1 - 17 * torch.rand(9, generator=generator, dtype=torch.float64)
    alpha = 0.6 + 0.4 * float(torch.rand((), generator=generator))
    return finished, lengths, open_log_probs, 10, 24, round(alpha, 2)


def _can_still_win(
    finished_log_probs, finished_lengths, open_log_probs, open_length, max_length, alpha
):
    if len(finished_log_probs) == 0:
        return torch.ones_like(open_log_probs, dtype=torch.bool)
    best = (finished_log_probs / ((5 + finished_lengths) / 6) ** alpha).max()
    # more words can only lower log P; with log P as it is, the longest has the best score
    return open_log_probs / ((5 + max_length) / 6) ** alpha > best


def _csw_present(finished, lengths, open_log_probs, open_length, max_length, alpha):
    return _can_still_win(finished, lengths, open_log_probs, 0, open_length, alpha)


def _csw_next(finished, lengths, open_log_probs, open_length, max_length, alpha):
    return _can_still_win(finished, lengths, open_log_probs, 0, open_length + 1, alpha)


def _csw_plain(finished, lengths, open_log_probs, open_length, max_length, alpha):
    return _can_still_win(finished, lengths, open_log_probs, 0, max_length, 0.0)


def _csw_per_token(finished, lengths, open_log_probs, open_length, max_length, alpha):
    if len(finished) == 0:
        return torch.ones_like(open_log_probs, dtype=torch.bool)
    best = (finished / lengths**alpha).max()
    return open_log_probs / max_length**alpha > best


def _csw_mixed(finished, lengths, open_log_probs, open_length, max_length, alpha):
    if len(finished) == 0:
        return torch.ones_like(open_log_probs, dtype=torch.bool)
    return open_log_probs > (finished / ((5 + lengths) / 6) ** alpha).max()


def _csw_most_probable(
    finished, lengths, open_log_probs, open_length, max_length, alpha
):
    most = finished.argsort(descending=True)[:1]
    return _can_still_win(
        finished[most], lengths[most], open_log_probs, 0, max_length, alpha
    )


def _csw_any(finished, lengths, open_log_probs, open_length, max_length, alpha):
    if len(finished) == 0:
        return torch.ones_like(open_log_probs, dtype=torch.bool)
    worst = (finished / ((5 + lengths) / 6) ** alpha).min()
    return open_log_probs / ((5 + max_length) / 6) ** alpha > worst


def _csw_times(finished, lengths, open_log_probs, open_length, max_length, alpha):
    return _can_still_win(finished, lengths, open_log_probs, 0, max_length, -alpha)


def _csw_ties(finished, lengths, open_log_probs, open_length, max_length, alpha):
    if len(finished) == 0:
        return torch.ones_like(open_log_probs, dtype=torch.bool)
    best = (finished / ((5 + lengths) / 6) ** alpha).max()
    return open_log_probs / ((5 + max_length) / 6) ** alpha >= best


def _csw_losers(finished, lengths, open_log_probs, open_length, max_length, alpha):
    return ~_can_still_win(finished, lengths, open_log_probs, 0, max_length, alpha)


def _csw_none_finished(
    finished, lengths, open_log_probs, open_length, max_length, alpha
):
    if len(finished) == 0:
        return torch.zeros_like(open_log_probs, dtype=torch.bool)
    return _can_still_win(finished, lengths, open_log_probs, 0, max_length, alpha)


can_still_win = CodeExercise(
    name="seq2seq.can_still_win",
    title="Who can still win?",
    minutes=25,
    difficulty=4,
    statement="""log P favours short translations. Wu et al. (2016) divide it by a penalty that
grows with the length $n$. So the score of a translation $y$ is

$$\\text{score}(y) = \\frac{\\log P(y)}{\\ell(n)}, \\quad
\\ell(n) = \\left(\\frac{5 + n}{6}\\right)^{\\alpha}.$$

With $\\alpha = 0$ that is the chapter's search. With $\\alpha > 0$ the chapter's rule for stopping
is wrong: "a longer one is never more probable" is still true, but a longer one may have the better
*score*.

Mend the rule. Some hypotheses have ended. Others are still open, and nothing is known of the words
to come: they may cost almost nothing, and there may be few or many of them. Which of the open ones
could still end with a *better* score than every one that has ended? The search may stop when none
can. A tie does not count as better. Where nothing has ended yet, all can still win.""",
    stub='''def can_still_win(
    finished_log_probs, finished_lengths, open_log_probs, open_length, max_length, alpha
):
    """Which open hypotheses may still get a better score than all finished ones?

    Lengths count the tokens after `<s>`, `</s>` included.

    finished_log_probs: Float[Tensor, "n_finished"], in nats, below 0; may be empty.
    finished_lengths: Int[Tensor, "n_finished"].
    open_log_probs: Float[Tensor, "n_open"], of what is written so far.
    open_length: int, how many tokens each open one has so far; below max_length.
    max_length: int, no translation may be longer.
    alpha: float, 0 or more.
    Returns Bool[Tensor, "n_open"].
    """
    ...
''',
    reference=_can_still_win,
    make_inputs=_a_search,
    hints=(
        "Ask for the best that an open one can hope for. Its log P can only fall. At best it stays "
        "as it is. log P is negative: is the score then better when the translation is short, or "
        "when it is long?",
        "The best it can hope for is `open_log_probs / penalty(max_length)`. Compare with the "
        "best *score* of those that have ended. The empty case comes first: `.max()` of nothing "
        "is an error.",
    ),
    misconceptions=(
        Misconception(
            "as_long_as_now",
            _csw_present,
            "You score the open ones at their present length. They will grow, and a longer one "
            "is divided by more. So some that you give up could still win.",
        ),
        Misconception(
            "one_more_word",
            _csw_next,
            "You score the open ones as if `</s>` came next. They may go on for longer, and are "
            "then divided by more. So some that you give up could still win.",
        ),
        Misconception(
            "log_probs",
            _csw_plain,
            "You compare log probabilities: that is the chapter's rule. With a penalty for the "
            "length, a less probable translation may have the better score.",
        ),
        Misconception(
            "only_the_finished",
            _csw_mixed,
            "You divide the finished ones by their penalty, but not the open ones. Compare score "
            "with score.",
        ),
        Misconception(
            "plain_length",
            _csw_per_token,
            "You divide by the length to the power alpha. The penalty here is ((5 + n) / 6) to "
            "the power alpha.",
        ),
        Misconception(
            "most_probable",
            _csw_most_probable,
            "You compare with the most probable of the finished ones. The one with the best "
            "*score* may be another, longer one.",
        ),
        Misconception(
            "better_than_one",
            _csw_any,
            "You ask who can beat the *worst* of the finished ones. To win, one must beat all.",
        ),
        Misconception(
            "multiplies",
            _csw_times,
            "You multiply by the penalty. log P is negative, so that pulls a long translation "
            "further down. Divide.",
        ),
        Misconception(
            "ties",
            _csw_ties,
            "A tie does not count: who can only draw level cannot win.",
        ),
        Misconception(
            "losers",
            _csw_losers,
            "The wrong way round: True is for those that can still win.",
        ),
        Misconception(
            "nothing_to_beat",
            _csw_none_finished,
            "Where nothing has ended there is nothing to beat: all can still win.",
        ),
    ),
    edge_cases=(
        (
            torch.tensor([]).double(),
            torch.tensor([], dtype=torch.long),
            torch.tensor([-3.0, -50.0]).double(),
            5,
            12,
            0.8,
        ),
        (
            torch.tensor([-6.0, -8.0, -9.5]).double(),
            torch.tensor([4, 9, 2]),
            torch.tensor([-6.0, -5.5, -7.0, -6.5]).double(),
            10,
            30,
            0.0,
        ),
    ),
)

# ------------------------------------------------------------------------- 5 the best for sure


class FadingDecoder:
    """A decoder to search in: every word read speaks for some next words, and fades."""

    def __init__(self, table, fade):
        self.table, self.fade = table, fade

    def __repr__(self):
        return f"a decoder of {len(self.table)} tokens"

    def __call__(self, token_ids):
        ages = torch.arange(len(token_ids) - 1, -1, -1).double()
        logits = self.fade**ages @ self.table[list(token_ids)]
        logits[0] = -math.inf
        return logits.log_softmax(dim=0)


def _a_decoder(generator):
    table = 1.5 * torch.randn(9, 9, generator=generator, dtype=torch.float64)
    table.fill_diagonal_(-3)  # a word seldom repeats itself
    table[0, 1], table[2:, 1] = -5, table[2:, 1] + 0.5  # neither empty nor endless
    return FadingDecoder(table, fade=0.5), 12


def _garden_path(n_traps):
    """Many tokens look better at first than the one that leads straight to the end."""
    narrow, last = n_traps + 2, n_traps + 3
    probs = torch.full((last + 1, last + 1), 1e-9, dtype=torch.float64)
    probs[0, 2:last] = 1.1 / (n_traps + 1)
    probs[0, narrow] *= 0.8
    probs[2:narrow, 2:narrow] = 0.6 / n_traps
    probs[2:narrow, last] = 0.4
    probs[narrow, last] = probs[last, 1] = 1.0
    return FadingDecoder(probs.log(), fade=0.0)


_DECODER, _ = _a_decoder(torch.Generator().manual_seed(10))


def _best_for_sure(next_log_probs, max_length):
    waiting = [(0.0, (0,))]  # (-log P, beginning): the most probable comes out first
    while True:
        cost, token_ids = heapq.heappop(waiting)
        if token_ids[-1] == 1:
            return list(token_ids)
        if len(token_ids) <= max_length:
            for token_id, log_prob in enumerate(next_log_probs(token_ids).tolist()):
                if log_prob > -math.inf:
                    longer = (*token_ids, token_id)
                    heapq.heappush(waiting, (cost - log_prob, longer))


def _bfs_greedy(next_log_probs, max_length):
    token_ids = [0]
    while token_ids[-1] != 1 and len(token_ids) <= max_length:
        token_ids.append(int(next_log_probs(tuple(token_ids)).argmax()))
    return token_ids


def _bfs_beam(next_log_probs, max_length):
    beams = [(0.0, (0,))]
    for _ in range(max_length):
        longer = [beam for beam in beams if beam[1][-1] == 1]
        for cost, token_ids in beams:
            if token_ids[-1] != 1:
                log_probs = next_log_probs(token_ids).tolist()
                longer += [(cost - p, (*token_ids, i)) for i, p in enumerate(log_probs)]
        beams = sorted(longer)[:2]
    return list(min(beams, key=lambda beam: (beam[1][-1] != 1, beam[0]))[1])


def _bfs_first_found(next_log_probs, max_length):
    waiting = [(0.0, (0,))]
    while waiting:
        cost, token_ids = heapq.heappop(waiting)
        log_probs = next_log_probs(token_ids)
        if int(log_probs.argmax()) == 1:
            return [*token_ids, 1]
        if len(token_ids) < max_length:
            for token_id, log_prob in enumerate(log_probs.tolist()):
                if log_prob > -math.inf and token_id != 1:
                    heapq.heappush(waiting, (cost - log_prob, (*token_ids, token_id)))
    return [0, 1]


def _bfs_per_token(next_log_probs, max_length):
    waiting = [(0.0, 0.0, (0,))]
    while True:
        _, cost, token_ids = heapq.heappop(waiting)
        if token_ids[-1] == 1:
            return list(token_ids)
        if len(token_ids) <= max_length:
            for token_id, log_prob in enumerate(next_log_probs(token_ids).tolist()):
                if log_prob > -math.inf:
                    total, longer = cost - log_prob, (*token_ids, token_id)
                    heapq.heappush(waiting, (total / len(token_ids), total, longer))


def _bfs_least(next_log_probs, max_length):
    waiting = [(0.0, (0,))]
    while True:
        cost, token_ids = heapq.heappop(waiting)
        if token_ids[-1] == 1:
            return list(token_ids)
        if len(token_ids) <= max_length:
            for token_id, log_prob in enumerate(next_log_probs(token_ids).tolist()):
                if log_prob > -math.inf:
                    longer = (*token_ids, token_id)
                    heapq.heappush(waiting, (cost + log_prob, longer))


def _bfs_last_word(next_log_probs, max_length):
    waiting = [(0.0, (0,))]
    while True:
        _, token_ids = heapq.heappop(waiting)
        if token_ids[-1] == 1:
            return list(token_ids)
        if len(token_ids) <= max_length:
            for token_id, log_prob in enumerate(next_log_probs(token_ids).tolist()):
                if log_prob > -math.inf:
                    heapq.heappush(waiting, (-log_prob, (*token_ids, token_id)))


def _bfs_no_limit(next_log_probs, max_length):
    return _best_for_sure(next_log_probs, 1000)


def _bfs_no_start(next_log_probs, max_length):
    return _best_for_sure(next_log_probs, max_length)[1:]


def _log_prob(next_log_probs, token_ids):
    steps = range(1, len(token_ids))
    return sum(float(next_log_probs(token_ids[:i])[token_ids[i]]) for i in steps)


def _judge_best(arguments, expected, answer):
    next_log_probs, max_length = arguments
    n_tokens = len(next_log_probs((0,)))
    if not isinstance(answer, list | tuple) or not all(
        isinstance(token_id, int) and 0 <= token_id < n_tokens for token_id in answer
    ):
        return (
            f"the result is {show(answer)}; give a list of token ids from 0 to "
            f"{n_tokens - 1}, such as {show(expected[:1])} and so on"
        )
    answer = tuple(answer)
    if answer[:1] != (0,):
        return "your translation does not begin with `<s>`, token 0"
    if answer[-1] != 1 or 1 in answer[:-1]:
        return (
            f"your translation {show(list(answer))} has `</s>`, token 1, in the wrong place: it "
            "should stand at the end, and only there"
        )
    if len(answer) - 1 > max_length:
        return (
            f"your translation has {len(answer) - 1} tokens after `<s>`; "
            f"max_length={max_length} allows no more than that"
        )
    ours, best = (_log_prob(next_log_probs, ids) for ids in (answer, tuple(expected)))
    if ours < best - 1e-9:
        return (
            f"your translation {show(list(answer))} has log P {ours:.3f}, but there is one with "
            f"{best:.3f}"
        )
    return None


best_for_sure = CodeExercise(
    name="seq2seq.best_for_sure",
    title="The best translation, for sure",
    minutes=45,
    difficulty=5,
    statement="""A beam may lose the best translation: its beginning looked too poor. Find the most
probable one *for sure*, without a beam. You cannot try all: the check has seven words, in up to
eleven places. They make more than two thousand million sentences.

What helps is what the chapter's beam search uses, too: a longer beginning is never more probable
than a shorter one that it goes on from. So a beginning that is worse than a *finished* translation
can be given up, with all that it could become.

(Stahlberg & Byrne (2019) did this with a large translator, and had a surprise: for more than half
of the sentences the most probable translation was the empty one. Beam search had only been good
because it failed.)""",
    stub='''def best_for_sure(next_log_probs, max_length):
    """The most probable of all translations.

    next_log_probs: a function. Given a tuple of token ids that begins with `<s>` (0),
        it returns Float[Tensor, "vocab_size"]: log P of each next token, in nats.
        It is -inf for `<s>`, which never comes again. `</s>` (1) is always possible.
    max_length: int, at least 1: the most tokens after `<s>`, `</s>` included.
    Returns a list of token ids that begins with 0 and ends with 1.
    """
    ...
''',
    reference=_best_for_sure,
    make_inputs=_a_decoder,
    judge=_judge_best,
    hints=(
        "Keep *all* beginnings that you have seen, and always make the most probable of them "
        "longer. `heapq` keeps a list of which `heappop` gives the smallest: put in -log P first, "
        "then the tuple of tokens.",
        "Finished ones wait in the same heap. When a finished one is the most probable of all "
        "that wait, no other can overtake it: you are done. Not before: that it has been *seen* "
        "is not enough.",
    ),
    misconceptions=(
        Misconception(
            "greedy",
            _bfs_greedy,
            "That is greedy search. It never goes back to a beginning that looked second best.",
        ),
        Misconception(
            "beam",
            _bfs_beam,
            "That is a beam of width 2: it loses what comes third. Throw nothing away that could "
            "still win.",
        ),
        Misconception(
            "stops_too_soon",
            _bfs_first_found,
            "You stop as soon as `</s>` is the best next token of some beginning. Other "
            "beginnings that still wait may be more probable than the finished whole.",
        ),
        Misconception(
            "per_token",
            _bfs_per_token,
            "You take the beginning with the best *mean* per token. A mean can rise again as the "
            "sentence grows, so nothing is sure. Order them by log P, the sum.",
        ),
        Misconception(
            "least_probable_first",
            _bfs_least,
            "Your heap gives the *least* probable beginning first: `heappop` returns the "
            "smallest. Put in -log P.",
        ),
        Misconception(
            "last_word_only",
            _bfs_last_word,
            "You order the beginnings by the probability of their last token. It is the whole "
            "beginning that counts: add up log P.",
        ),
        Misconception(
            "no_limit",
            _bfs_no_limit,
            "Right where the best translation is short enough. Where it is not, yours is longer "
            "than `max_length`.",
        ),
        Misconception(
            "without_the_start",
            _bfs_no_start,
            "The words are right, but `<s>` is missing. The list begins with token 0.",
        ),
    ),
    edge_cases=(
        (_garden_path(2), 8),
        (_garden_path(100), 8),
        (_DECODER, 2),
        (_DECODER, 1),
    ),
)
