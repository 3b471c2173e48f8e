"""The parallel data: the Korean is right, the alignments are right, the parts are apart."""

import itertools
import json
import re
from collections import Counter

import pytest
import torch

from lmcourse.data.lr1 import lr1_table
from lmcourse.data.pcfg import Grammar
from lmcourse.data.translation import (
    LEXICON,
    english_grammar,
    sample_pair,
    surface,
    translate,
    translation_data,
)

VERBS = LEXICON["transitive verb"] | LEXICON["intransitive verb"]
PARTICLES = {form for forms in LEXICON["particle"].values() for form in forms}
PARTS = ("train", "dev", "test", "longer")


@pytest.fixture(scope="module")
def data():
    return translation_data()


@pytest.fixture(scope="module")
def pairs():
    stream = torch.Generator().manual_seed(0)
    return [sample_pair(stream) for _ in range(2_000)]


# ---- the Korean --------------------------------------------------------------------------------

# behind each token: =i a sure link to the English word at position i, ~i a possible one
WORKED = {
    "the small rabbit saw a turtle": "작은=1 토끼=2 는~2 거북이=5 를~5 봤다=3",
    "a bear sees the horse": "곰=1 은~1 말=4 을~4 본다=2",
    "the sheep sleeps": "양=1 은~1 잔다=2",
    "the cat walked": "고양이=1 는~1 걸었다=2",
    "the fox calls a deer and the deer laughs": (
        "여우=1 는~1 사슴=4 을~4 부르고=2~5 사슴=7 은~7 웃는다=8"
    ),
    "the fox called a deer and the deer laughed": (
        "여우=1 는~1 사슴=4 을~4 불렀고=2~5 사슴=7 은~7 웃었다=8"
    ),
    "the rabbit that saw a turtle slept": ("거북이=5 를~5 본=3~2 토끼=1 는~1 잤다=6"),
    "the rabbit that a turtle saw slept": ("거북이=4 가~4 본=5~2 토끼=1 는~1 잤다=6"),
    "a horse helps the white sheep that a bear helped": (
        "말=1 은~1 곰=8 이~8 도운=9~6 하얀=4 양=5 을~5 돕는다=2"
    ),
    "the big bear that walks pushes a cat": (
        "걷는=4~3 큰=1 곰=2 은~2 고양이=7 를~7 민다=5"
    ),
    "a turtle likes the deer that pushes the quick horse": (
        "거북이=1 는~1 빠른=8 말=9 을~9 미는=6~5 사슴=4 을~4 좋아한다=2"
    ),
    "the fox that slept pushed the deer that a horse chased": (
        "잔=3~2 여우=1 는~1 말=9 이~9 쫓은=10~7 사슴=6 을~6 밀었다=4"
    ),
    "a cat chased a fox and a fox chases a cat and a bear slept": (
        "고양이=1 는~1 여우=4 를~4 쫓았고=2~5 여우=7 는~7 고양이=10 를~10 쫓고=8~11 "
        "곰=13 은~13 잤다=14"
    ),
    "the horse that the small fox calls liked the sheep that laughed and a rabbit walks": (
        "작은=4 여우=5 가~5 부르는=6~2 말=1 은~1 웃은=11~10 양=9 을~9 좋아했고=7~12 "
        "토끼=14 는~14 걷는다=15"
    ),
}


@pytest.mark.parametrize("source", WORKED)
def test_translations_worked_by_hand(source):
    tokens, sure, possible = [], set(), set()
    for position, token in enumerate(WORKED[source].split()):
        tokens.append(re.match("[^=~]+", token)[0])
        sure |= {(int(i), position) for i in re.findall(r"=(\d+)", token)}
        possible |= {(int(i), position) for i in re.findall(r"[=~](\d+)", token)}
    pair = translate(source)
    assert pair.source == source
    assert pair.target == " ".join(tokens)
    assert pair.sure == sure
    assert pair.possible == possible
    assert pair.n_clauses == 1 + source.split().count("and")


def test_verb_forms_follow_the_rules_of_conjugation():
    # the stem (보-다), the stem before -(으)ㄴ, and the stem with -아/어
    stems = {
        ("sees", "saw"): ("보", "보", "봐"),
        ("chases", "chased"): ("쫓", "쫓으", "쫓아"),
        ("helps", "helped"): ("돕", "도우", "도와"),
        ("calls", "called"): ("부르", "부르", "불러"),
        ("pushes", "pushed"): ("밀", "미", "밀어"),
        ("likes", "liked"): ("좋아하", "좋아하", "좋아해"),
        ("sleeps", "slept"): ("자", "자", "자"),
        ("walks", "walked"): ("걷", "걸으", "걸어"),
        ("laughs", "laughed"): ("웃", "웃으", "웃어"),
    }
    finals = {"ㄴ": 4, "ㄹ": 8, "ㅆ": 20}  # their numbers among the 28

    def final_of(stem):
        return (ord(stem[-1]) - 0xAC00) % 28

    def close(stem, consonant):
        assert final_of(stem) == 0
        return stem[:-1] + chr(ord(stem[-1]) + finals[consonant])

    assert sorted(word for words in stems for word in words) == sorted(VERBS)
    for (present, past), (stem, before_n, with_a) in stems.items():
        short = stem  # ㄹ falls before ㄴ
        if final_of(stem) == finals["ㄹ"]:
            short = stem[:-1] + chr(ord(stem[-1]) - finals["ㄹ"])
        assert VERBS[present] == {
            "final": short + "는다" if final_of(short) else close(short, "ㄴ") + "다",
            "connective": stem + "고",
            "adnominal": short + "는",
        }
        assert VERBS[past] == {
            "final": close(with_a, "ㅆ") + "다",
            "connective": close(with_a, "ㅆ") + "고",
            "adnominal": close(before_n, "ㄴ"),
        }


def test_particles_follow_the_final_consonant_of_every_noun():
    with_consonant = {"곰", "말", "양", "사슴"}
    assert set(LEXICON["noun"].values()) == with_consonant | {
        "토끼",
        "거북이",
        "고양이",
        "여우",
    }
    for english, korean in LEXICON["noun"].items():
        topic, subject, object_ = "은이을" if korean in with_consonant else "는가를"
        assert translate(f"the {english} slept").target == f"{korean} {topic} 잤다"
        pair = translate(f"the {english} that the {english} saw saw the {english}")
        assert pair.target == (
            f"{korean} {subject} 본 {korean} {topic} {korean} {object_} 봤다"
        )


def test_no_word_has_two_meanings():
    english = [
        *LEXICON["article"],
        *LEXICON["adjective"],
        *LEXICON["noun"],
        *LEXICON["transitive verb"],
        *LEXICON["intransitive verb"],
        "and",
        "that",
    ]
    korean = [
        *LEXICON["adjective"].values(),
        *LEXICON["noun"].values(),
        *(form for forms in VERBS.values() for form in forms.values()),
        *PARTICLES,
    ]
    assert len(english) == len(set(english)) == 2 + 4 + 8 + 12 + 6 + 2
    assert len(korean) == len(set(korean)) == 4 + 8 + 3 * 18 + 6


def test_the_lexicon_survives_json():
    assert json.loads(json.dumps(LEXICON)) == LEXICON


def test_surface():
    assert surface("작은 토끼 는 거북이 를 봤다") == "작은 토끼는 거북이를 봤다"
    assert surface("말 이 본 곰 은 잔다") == "말이 본 곰은 잔다"
    assert surface("는 토끼") == "는 토끼"
    assert surface("") == ""


# ---- one derivation for each sentence ----------------------------------------------------------


def all_sentences():
    """Every derivation of up to two clauses, with one word for each category."""
    basic = ["the rabbit", "the small rabbit"]
    relative = ["that slept"]
    relative += [f"that saw {b}" for b in basic] + [f"that {b} saw" for b in basic]
    phrases = basic + [f"{b} {r}" for b in basic for r in relative]
    clauses = [f"{s} slept" for s in phrases]
    clauses += [f"{s} saw {o}" for s in phrases for o in phrases]
    return clauses + [f"{a} and {b}" for a in clauses for b in clauses]


def accepts(source):
    try:
        translate(source)
    except ValueError:
        return False
    return True


def test_no_sentence_has_two_derivations_and_each_is_translated():
    derivations = Counter(all_sentences())
    assert len(derivations) == 156 + 156**2
    assert set(derivations.values()) == {1}
    for source in [*derivations][:156] + [*derivations][156::8]:
        assert translate(source).n_clauses == 1 + source.count(" and ")


def test_nothing_else_is_translated():
    sentences = set(all_sentences())
    words = ["the", "small", "rabbit", "that", "saw", "slept", "and"]
    n_accepted = 0
    for length in range(6):
        for chosen in itertools.product(words, repeat=length):
            source = " ".join(chosen)
            assert accepts(source) == (source in sentences)
            n_accepted += accepts(source)
    assert n_accepted == 4  # of 3 words, of 4, and two of 5
    # longer ones: put any word in the place of each, or leave it out
    for source in all_sentences()[:156]:
        right = source.split()
        for position, word in itertools.product(range(len(right)), [*words, ""]):
            changed = [*right[:position], word, *right[position + 1 :]]
            changed = " ".join(w for w in changed if w)
            assert accepts(changed) == (changed in sentences)


def test_the_lr1_table_has_no_conflict_with_any_number_of_clauses():
    grammar = Grammar(
        {
            "Sentence": {"Clause": 0.5, "Clause and Sentence": 0.5},
            "Clause": {"NP slept": 0.5, "NP saw NP": 0.5},
            "NP": {"Basic": 0.5, "Basic Relative": 0.5},
            "Basic": {"the rabbit": 0.5, "the small rabbit": 0.5},
            "Relative": {
                "that slept": 0.5,
                "that saw Basic": 0.25,
                "that Basic saw": 0.25,
            },
        },
        start="Sentence",
    )
    assert lr1_table(grammar).conflicts == ()
    assert lr1_table(english_grammar()).conflicts == ()


def test_translation_is_a_function(pairs):
    for pair in pairs:
        assert translate(pair.source) == pair
    assert translate("  the rabbit   slept ") == translate("the rabbit slept")


# ---- the alignments ----------------------------------------------------------------------------


def test_alignments_link_what_they_must(pairs, data):
    content = {*LEXICON["noun"], *LEXICON["adjective"], *VERBS}
    for pair in [*pairs, *data.longer]:
        source, target = pair.source.split(), pair.target.split()
        particles = {t for t, token in enumerate(target) if token in PARTICLES}
        assert pair.sure <= pair.possible
        # one to one: each content word once, on both sides
        assert sorted(s for s, _ in pair.sure) == [
            s for s, word in enumerate(source) if word in content
        ]
        assert sorted(t for _, t in pair.sure) == [
            t for t in range(len(target)) if t not in particles
        ]
        source_of = {t: s for s, t in pair.sure}
        disputed = pair.possible - pair.sure
        # a particle stands right behind its noun, and is linked to the same English word
        for t in particles:
            assert [s for s, u in disputed if u == t] == [source_of[t - 1]]
            assert source[source_of[t - 1]] in LEXICON["noun"]
        # the other disputed links: "and" and "that", each to one verb of the right form
        function_words = [(s, t) for s, t in disputed if t not in particles]
        assert sorted(s for s, _ in function_words) == [
            s for s, word in enumerate(source) if word in ("and", "that")
        ]
        for s, t in function_words:
            form = {"and": "connective", "that": "adnominal"}[source[s]]
            assert target[t] == VERBS[source[source_of[t]]][form]
            assert (source_of[t] < s) == (source[s] == "and")


# ---- the data ----------------------------------------------------------------------------------


def test_sizes_and_clauses(data):
    assert [len(getattr(data, part)) for part in PARTS] == [20_000, 500, 1_500, 500]
    for part in ("train", "dev", "test"):
        assert {p.n_clauses for p in getattr(data, part)} == {1, 2, 3}
    assert Counter(p.n_clauses for p in data.longer) == {4: 250, 5: 250}
    shares = Counter(p.n_clauses for p in data.train)
    for n_clauses, share in {1: 0.4, 2: 0.35, 3: 0.25}.items():
        assert shares[n_clauses] / 20_000 == pytest.approx(share, abs=0.02)


def test_lengths_spread_with_enough_in_each_third(data):
    lengths = [len(pair.source.split()) for pair in data.test]
    assert min(lengths) == 3
    assert sum(length > 25 for length in lengths) < 0.1 * len(lengths)
    thirds = Counter(min((length - 3) // 8, 2) for length in lengths)
    assert min(thirds[0], thirds[1], thirds[2]) > 0.2 * len(lengths)


def test_parts_share_no_source_whatever_the_seed(data):
    other = translation_data(seed=1, n_train=3_000, n_dev=200, n_test=300, n_longer=20)
    sources = {
        part: {p.source for d in (data, other) for p in getattr(d, part)}
        for part in PARTS
    }
    for one, two in itertools.combinations(PARTS, 2):
        assert not sources[one] & sources[two]
    for part in ("dev", "test", "longer"):
        inside = [p.source for p in getattr(data, part)]
        assert len(inside) == len(set(inside))
    assert len({p.source for p in data.train}) < 20_000  # short ones come back


def test_the_seed_decides_and_fewer_are_the_beginning_of_more(data):
    sizes = dict(n_train=700, n_dev=60, n_test=70, n_longer=30)
    same, other = translation_data(0, **sizes), translation_data(1, **sizes)
    for part in PARTS:
        n = sizes[f"n_{part}"]
        assert getattr(same, part) == getattr(data, part)[:n]
        assert getattr(other, part) != getattr(same, part)


def test_sample_pair_is_decided_by_its_generator():
    def draw(seed):
        stream = torch.Generator().manual_seed(seed)
        return [sample_pair(stream, n_clauses=n) for n in (6, 1, 3)]

    assert draw(0) == draw(0) != draw(1)
    assert [pair.n_clauses for pair in draw(0)] == [6, 1, 3]


def test_the_tokenizers_know_every_word_and_no_other(data):
    for pair in [*data.train[:4_000], *data.longer]:
        for tokenizer, text in [
            (data.source_tokenizer, pair.source),
            (data.target_tokenizer, pair.target),
        ]:
            assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(data.source_tokenizer) == 2 + 34
    assert len(data.target_tokenizer) == 2 + 72
    with pytest.raises(ValueError, match="closed"):
        data.source_tokenizer.encode("the snail slept")
    # the vocabulary does not depend on what was drawn
    small = translation_data(n_train=1, n_dev=1, n_test=1, n_longer=1)
    assert small.target_tokenizer.tokens == data.target_tokenizer.tokens
    assert small.source_tokenizer.tokens == data.source_tokenizer.tokens


def test_repr(data):
    assert repr(data) == (
        "TranslationData(train=20000, dev=500, test=1500, longer=500 pairs, "
        "36 English and 74 Korean tokens)"
    )


# ---- errors ------------------------------------------------------------------------------------

NOUNS = "a noun (rabbit, turtle, cat, fox, bear, horse, sheep, deer)"
ADJECTIVES = "an adjective (small, big, white, quick)"
INTRANSITIVE = "an intransitive verb (sleeps, slept, walks, walked, laughs, laughed)"


@pytest.mark.parametrize(
    "source, what, position, could",
    [
        ("", "the sentence is empty", 0, "an article (the, a)"),
        (
            "the rabit slept",
            "'rabit' is no word of this language",
            1,
            f"{ADJECTIVES} or {NOUNS}",
        ),
        ("rabbit slept", "'rabbit' is out of place", 0, "an article (the, a)"),
        (
            "the rabbit saw",
            "the sentence ends too early, after 'saw'",
            3,
            "an article (the, a)",
        ),
        (
            "the rabbit slept slept",
            "'slept' is out of place",
            3,
            "'and' or the end of the sentence",
        ),
        (
            "the rabbit saw a turtle slept",
            "'slept' is out of place",
            5,
            "'that' or 'and' or the end of the sentence",
        ),
        ("the small big fox slept", "'big' is out of place", 2, NOUNS),
    ],
)
def test_what_is_no_sentence(source, what, position, could):
    with pytest.raises(ValueError) as error:
        translate(source)
    assert str(error.value) == (
        f"{what}; at position {position} could stand {could} "
        "(the first word is at position 0)"
    )


def test_relative_clauses_do_not_nest():
    with pytest.raises(ValueError, match="'that' is out of place; at position 6 could"):
        translate("the rabbit that saw a turtle that slept slept")
    with pytest.raises(ValueError, match="'that' is out of place; at position 5 could"):
        translate("the rabbit that a turtle that slept saw slept")
    with pytest.raises(
        ValueError, match="'slept' is out of place; at position 5 could"
    ):
        translate("the rabbit that a turtle slept slept")
    with pytest.raises(ValueError, match=re.escape(INTRANSITIVE)):
        translate("the rabbit that")


def test_sizes_that_are_not_positive():
    for part in PARTS:
        with pytest.raises(ValueError, match=f"n_{part}=0 is not positive"):
            translation_data(**{f"n_{part}": 0})
    with pytest.raises(ValueError, match="n_clauses=0 is below 1"):
        sample_pair(torch.Generator(), n_clauses=0)
