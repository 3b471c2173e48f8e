"""The teaching language: small enough to be known completely, hard enough to tell models apart.

Animals do things, and somebody reports it. Two facts must be carried over a distance:

* the number of the subject, across the words that describe it: "the *rabbit* near the cats
  *sleeps*";
* the name of the speaker, who must be named again where the speech closes: "*Anna* says that the
  rabbit sleeps , agrees *Anna*". Speeches nest, so the names come back in the opposite order.

Every sentence has exactly one derivation. So the probability of a sentence is that of its
derivation, and the entropy of the language is known: the floor under every model of the course.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcourse.data.pcfg import END, Grammar, Sample, State
from lmcourse.language_models import LanguageModel, check_token_ids
from lmcourse.tokenizers import (
    SPECIAL_PIECES,
    Tokenizer,
    WordPiece,
    WordTokenizer,
)
from lmcourse.training import generator as random_stream

__all__ = [
    "NAMES",
    "TEACHING_GRAMMAR",
    "Grammar",
    "Probe",
    "Sample",
    "TeachingLanguage",
    "TrueModel",
    "agreement_cases",
    "broken_sentence",
    "probe_accuracy",
    "recall_cases",
    "teaching_language",
    "teaching_wordpiece",
]

NAMES = tuple(
    "Anna Ben Clara David Emma Felix Grace Hana Ivan Julia Kofi Lena Marco Nora Omar Paula "
    "Quinn Rosa Samir Tara Ugo Vera Wen Xenia Yuna Zoe Amir Bella Chloe Dani".split()
)
"""The speakers. Each is as likely as the next."""

# singular/plural, the frequent ones first
_NOUNS = (
    "rabbit/rabbits cat/cats dog/dogs bird/birds turtle/turtles fox/foxes snail/snails duck/ducks "
    "horse/horses mouse/mice goat/goats goose/geese"
).split()
_TRANSITIVE_VERBS = (
    "likes/like sees/see follows/follow helps/help hears/hear finds/find greets/greet "
    "admires/admire"
).split()
_INTRANSITIVE_VERBS = (
    "sleeps/sleep sings/sing smiles/smile dances/dance waits/wait laughs/laugh"
).split()
_OTHER_NUMBER = {
    form: other
    for pair in [*_TRANSITIVE_VERBS, *_INTRANSITIVE_VERBS]
    for form, other in itertools.permutations(pair.split("/"))
}
_ADJECTIVES = "small happy quiet brave clever gentle".split()
_PREPOSITIONS = "near beside behind with".split()
_NUMBERS = ("sg", "pl")
_REPORT_PROB = 0.4


def _forms(pairs: Sequence[str], number: str) -> list[str]:
    return [pair.split("/")[_NUMBERS.index(number)] for pair in pairs]


def _zipf(words: Sequence[str]) -> dict[str, float]:
    """Zipf's law: the word of rank r has a probability proportional to 1 / r."""
    total = sum(1 / rank for rank in range(1, len(words) + 1))
    return {word: 1 / rank / total for rank, word in enumerate(words, start=1)}


def _teaching_rules() -> dict[str, dict[str, float]]:
    report = {
        f"{name} says that Sentence , agrees {name}": _REPORT_PROB / len(NAMES)
        for name in NAMES
    }
    rules = {
        "Sentence": {"Clause": 1 - _REPORT_PROB} | report,
        "Clause": {"NP_sg VP_sg": 0.5, "NP_pl VP_pl": 0.5},
        "NP": {"NP_sg": 0.5, "NP_pl": 0.5},
        "Det_sg": {"a": 0.75, "every": 0.25},
        "Det_pl": {"some": 0.75, "many": 0.25},
        "Adj": _zipf(_ADJECTIVES),
        "PP": {"Prep NP": 1.0},
        "Prep": _zipf(_PREPOSITIONS),
    }
    for number in _NUMBERS:
        rules |= {
            # "the" stands here because it has no number: only the noun shows it
            f"NP_{number}": {
                f"the Nom_{number}": 0.6,
                f"Det_{number} Nom_{number}": 0.4,
            },
            # at most one modifier: nothing, an adjective, a prepositional phrase, a relative clause
            f"Nom_{number}": {
                f"N_{number}": 0.5,
                f"Adj N_{number}": 0.1,
                f"N_{number} PP": 0.2,
                f"N_{number} Rel_{number}": 0.2,
            },
            # "which see the cat" about the subject, "which the cat sees" about the object
            f"Rel_{number}": {
                f"which VP_{number}": 0.5,
                "which NP_sg Vt_sg": 0.25,
                "which NP_pl Vt_pl": 0.25,
            },
            f"VP_{number}": {f"Vt_{number} NP": 0.6, f"Vi_{number}": 0.4},
            f"N_{number}": _zipf(_forms(_NOUNS, number)),
            f"Vt_{number}": _zipf(_forms(_TRANSITIVE_VERBS, number)),
            f"Vi_{number}": _zipf(_forms(_INTRANSITIVE_VERBS, number)),
        }
    return rules


TEACHING_GRAMMAR = Grammar(_teaching_rules(), start="Sentence")
"""The grammar of the teaching language."""


@dataclass(frozen=True, repr=False)
class TeachingLanguage:
    """Sentences of the teaching language, and what is known about it.

    Attributes:
        train: the sentences to learn from, as text.
        dev: the sentences to choose with.
        test: the sentences to report on. Short sentences occur in `train` too, by chance, as
            they would in life. They stay: without them the floor would be another.
        tokenizer: words to ids; every word of the grammar, whether or not it was drawn.
        floor: the entropy in bits per word, `</s>` counted. No model can need fewer.
    """

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    tokenizer: WordTokenizer
    floor: float

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name}={len(getattr(self, name))}" for name in ("train", "dev", "test")
        )
        return (
            f"TeachingLanguage({sizes} sentences, floor={self.floor:.4f} bits per word)"
        )


@cache
def teaching_language(
    seed: int = 0, n_train: int = 40_000, n_dev: int = 2_000, n_test: int = 4_000
) -> TeachingLanguage:
    """Draws the teaching language.

    Args:
        seed: another seed, other sentences.
        n_train: how many sentences to learn from. Fewer are the beginning of more.
        n_dev: how many sentences to choose with.
        n_test: how many sentences to report on.

    Raises:
        ValueError: if a number of sentences is not positive.

    Example:
        >>> language = teaching_language()
        >>> language
        TeachingLanguage(train=40000, dev=2000, test=4000 sentences, floor=2.3278 bits per word)
        >>> language.tokenizer.decode(language.tokenizer.encode(language.train[0])[:4])
        'Rosa says that'
    """
    parts = []
    for name, n_sentences in [("train", n_train), ("dev", n_dev), ("test", n_test)]:
        if n_sentences < 1:
            raise ValueError(
                f"n_{name}={n_sentences} is not positive: each part needs a sentence"
            )
        stream = random_stream(seed, f"teaching language, {name}")
        samples = TEACHING_GRAMMAR.sample(n_sentences, stream)
        parts.append(tuple(" ".join(sample.words) for sample in samples))
    return TeachingLanguage(
        *parts,
        tokenizer=WordTokenizer(TEACHING_GRAMMAR.words),
        floor=TEACHING_GRAMMAR.entropy_per_word(),
    )


def teaching_wordpiece() -> WordPiece:
    """BERT's tokenizer for the teaching language: every word is one piece.

    Example:
        >>> teaching_wordpiece().split("the rabbit sleeps")
        ['the', 'rabbit', 'sleeps']
    """
    return WordPiece([*SPECIAL_PIECES, *TEACHING_GRAMMAR.words], lower=False)


class TrueModel(LanguageModel):
    """The grammar itself as a language model: it knows the true probability of every next word.

    Its cross-entropy is the floor, up to the luck of the sample. After words that no sentence
    begins with, and after `</s>`, no next word is possible: every log probability is -inf.

    Args:
        grammar: the grammar.
        tokenizer: words to ids.

    Raises:
        ValueError: if the tokenizer does not know every word of the grammar.

    Example:
        >>> grammar = Grammar({"S": {"a S": 0.25, "a": 0.75}}, start="S")
        >>> model = TrueModel(grammar, WordTokenizer(grammar.words))
        >>> model(torch.tensor([[0, 2]])).exp()
        tensor([[[0.0000, 0.0000, 1.0000],
                 [0.0000, 0.7500, 0.2500]]], dtype=torch.float64)
    """

    def __init__(self, grammar: Grammar, tokenizer: Tokenizer):
        super().__init__()
        unknown = [word for word in grammar.words if word not in tokenizer.token_to_id]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of {len(grammar.words)} words of the grammar are unknown to the "
                f"tokenizer, the first is {unknown[0]!r}; it must know all"
            )
        self.vocab_size = len(tokenizer)
        self.grammar = grammar
        self.tokens = tokenizer.tokens
        self.token_to_id = tokenizer.token_to_id
        self._possible = frozenset(grammar.words) | {END}

    def forward(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time vocab_size"]:
        """Log probabilities of the next word in nats, -inf for the impossible."""
        check_token_ids(token_ids, self.vocab_size)
        probs = np.zeros((*token_ids.shape, self.vocab_size))
        for b, sentence in enumerate(token_ids.tolist()):
            for t, (state, _) in enumerate(self._read(sentence)):
                for word, prob in self.grammar.state_probs(state).items():
                    probs[b, t, self.token_to_id[word]] = prob
        return torch.from_numpy(probs).log()

    def log_prob(
        self, token_ids: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time-1"]:
        """Log probability in nats of the tokens that occur, without looking at the others."""
        check_token_ids(token_ids, self.vocab_size)
        probs = np.zeros(token_ids.shape)
        for b, sentence in enumerate(token_ids.tolist()):
            probs[b] = [prob for _, prob in self._read(sentence)]
        return torch.from_numpy(probs[:, 1:]).log()

    def _read(self, sentence: list[int]) -> Iterator[tuple[State, float]]:
        """The parser state after each token, and P(the token | the tokens before it)."""
        state = self.grammar.start_state() if sentence[0] == 0 else {}
        yield state, 1.0
        for token_id in sentence[1:]:
            word = self.tokens[token_id]
            state, prob = (
                self.grammar.advance(state, word)
                if word in self._possible
                else ({}, 0.0)
            )
            yield state, prob

    def __repr__(self) -> str:
        return f"TrueModel({self.grammar!r})"


# ---- two facts to carry ------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """The beginning of a sentence, and the words that may or may not follow.

    Attributes:
        prefix: the words so far.
        right: words that may come next.
        wrong: words that may not.
        distance: how many words after its cause the tested word stands. An n-gram model of order
            n sees the cause where distance < n.
    """

    prefix: tuple[str, ...]
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    distance: int


def agreement_cases(
    n_cases: int, n_phrases: int, congruent: bool, generator: torch.Generator
) -> list[Probe]:
    """Subjects with prepositional phrases behind them: which number has the verb?

    Half of the subjects are singular, half plural. The noun next to the verb has the number of
    the subject (congruent) or the other number (incongruent); those before it have either.

    Args:
        n_cases: how many.
        n_phrases: phrases between subject and verb. The verb stands 3 * n_phrases + 1 words
            after the subject.
        congruent: whether the noun next to the verb has the number of the subject.
        generator: the source of randomness.

    Raises:
        ValueError: if `n_cases` is not positive, `n_phrases` is negative, or there is no phrase
            that could be incongruent.

    Example:
        >>> probe = agreement_cases(1, 1, False, torch.Generator().manual_seed(0))[0]
        >>> " ".join(probe.prefix), probe.right[0], probe.wrong[0], probe.distance
        ('the horse beside the birds', 'likes', 'like', 4)
    """
    if n_cases < 1 or n_phrases < 0:
        raise ValueError(
            f"n_cases={n_cases} must be > 0 and n_phrases={n_phrases} >= 0"
        )
    if n_phrases == 0 and not congruent:
        raise ValueError(
            "n_phrases=0 with congruent=False: only a phrase can be incongruent"
        )

    def choose(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    cases = []
    for case in range(n_cases):
        subject = case % 2
        between = [choose(2) for _ in range(n_phrases - 1)]
        last = [subject if congruent else 1 - subject] if n_phrases else []
        nouns = [
            _forms(_NOUNS, _NUMBERS[number])[choose(len(_NOUNS))]
            for number in [subject, *between, *last]
        ]
        prefix = ["the", nouns[0]]
        for noun in nouns[1:]:
            prefix += [_PREPOSITIONS[choose(len(_PREPOSITIONS))], "the", noun]
        right, wrong = (
            tuple(_forms([*_TRANSITIVE_VERBS, *_INTRANSITIVE_VERBS], _NUMBERS[number]))
            for number in (subject, 1 - subject)
        )
        cases.append(Probe(tuple(prefix), right, wrong, distance=3 * n_phrases + 1))
    return cases


def broken_sentence(
    words: Sequence[str], generator: torch.Generator
) -> tuple[str, ...]:
    """A sentence with one mistake: one verb in the other number, or a wrong name at the end.

    Args:
        words: a sentence of the teaching language.
        generator: the source of randomness: which verb or name, and which name instead.

    Returns:
        The words, of which one was changed. No sentence of the language has them.

    Raises:
        ValueError: if the words are no sentence of the language.

    Example:
        >>> broken_sentence("the rabbit sleeps".split(), torch.Generator())
        ('the', 'rabbit', 'sleep')
    """
    if TEACHING_GRAMMAR.log_prob(words) == -math.inf:
        raise ValueError(f"{' '.join(words)!r} is no sentence of the language")

    def choose(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    places = [
        place
        for place, word in enumerate(words)
        if word in _OTHER_NUMBER or place > 0 and words[place - 1] == "agrees"
    ]
    place = places[choose(len(places))]
    others = [name for name in NAMES if name != words[place]]
    changed = _OTHER_NUMBER.get(words[place]) or others[choose(len(others))]
    return (*words[:place], changed, *words[place + 1 :])


def recall_cases(sentences: Iterable[str]) -> list[Probe]:
    """Every place of these sentences where a speaker must be named again.

    Args:
        sentences: sentences of the teaching language, as text.

    Raises:
        ValueError: if a name closes a speech that nobody opened.

    Example:
        >>> probe = recall_cases(["Anna says that a cat sleeps , agrees Anna"])[0]
        >>> " ".join(probe.prefix), probe.right, len(probe.wrong), probe.distance
        ('Anna says that a cat sleeps , agrees', ('Anna',), 29, 8)
    """
    names = frozenset(NAMES)
    cases = []
    for sentence in sentences:
        words = sentence.split()
        speeches = []  # where each open speech began
        for position, word in enumerate(words):
            if word not in names:
                continue
            if position == 0 or words[position - 1] != "agrees":
                speeches.append(position)
                continue
            if not speeches or words[speeches[-1]] != word:
                raise ValueError(
                    f"{word!r} closes a speech that it did not open: {sentence!r}"
                )
            opened = speeches.pop()
            others = tuple(name for name in NAMES if name != word)
            cases.append(
                Probe(tuple(words[:position]), (word,), others, position - opened)
            )
    return cases


@torch.no_grad()
def probe_accuracy(
    model: LanguageModel,
    tokenizer: Tokenizer,
    cases: Sequence[Probe],
    batch_size: int = 64,
) -> float:
    """How often the model's favourite among the right and the wrong words is a right one.

    A tie counts in part: with k of n favourites right, k / n.

    Args:
        model: any language model.
        tokenizer: words to ids.
        cases: what to ask.
        batch_size: cases at a time.

    Raises:
        ValueError: if there is no case.

    Example:
        >>> model = TrueModel(TEACHING_GRAMMAR, WordTokenizer(TEACHING_GRAMMAR.words))
        >>> cases = recall_cases(["Anna says that a cat sleeps , agrees Anna"])
        >>> probe_accuracy(model, WordTokenizer(TEACHING_GRAMMAR.words), cases)
        1.0
    """
    if not cases:
        raise ValueError("0 cases; at least 1 is needed")
    by_length = defaultdict(list)  # cases of one length make a batch without padding
    for case in cases:
        by_length[len(case.prefix)].append(case)
    was_training = model.training
    model.eval()
    total = 0.0
    for same_length in by_length.values():
        for start in range(0, len(same_length), batch_size):
            batch = same_length[start : start + batch_size]
            token_ids = torch.tensor(
                [tokenizer.encode(" ".join(c.prefix))[:-1] for c in batch]
            )
            scores = model(token_ids)[:, -1]
            for case, row in zip(batch, scores, strict=True):
                right, wrong = (
                    row[[tokenizer.token_to_id[word] for word in words]]
                    for words in (case.right, case.wrong)
                )
                best = max(right.max(), wrong.max())
                n_right, n_wrong = (
                    (right == best).sum().item(),
                    (wrong == best).sum().item(),
                )
                total += n_right / (n_right + n_wrong)
    model.train(was_training)
    return total / len(cases)
