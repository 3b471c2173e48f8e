"""The teaching language is what the book says of it."""

import math
from collections import Counter

import pytest
import torch

from lmcourse.data.grammar import (
    NAMES,
    TEACHING_GRAMMAR,
    Grammar,
    TrueModel,
    agreement_cases,
    broken_sentence,
    probe_accuracy,
    recall_cases,
    teaching_language,
    teaching_wordpiece,
)
from lmcourse.data.lr1 import lr1_table
from lmcourse.data.pcfg import END
from lmcourse.language_models import cross_entropy, sentence_log_prob
from lmcourse.tokenizers import WordTokenizer


@pytest.fixture(scope="module")
def language():
    return teaching_language()


@pytest.fixture(scope="module")
def true_model(language):
    return TrueModel(TEACHING_GRAMMAR, language.tokenizer)


@pytest.fixture(scope="module")
def samples():
    return TEACHING_GRAMMAR.sample(100_000, torch.Generator().manual_seed(0))


def standard_error(values: torch.Tensor) -> float:
    return values.std().item() / math.sqrt(len(values))


# ---- the floor ---------------------------------------------------------------------------------


def test_entropy_and_length_agree_with_100_000_sentences(samples):
    bits = -torch.tensor([s.log_prob for s in samples], dtype=torch.float64) / math.log(
        2
    )
    lengths = torch.tensor([len(s.words) for s in samples], dtype=torch.float64)
    entropy, length = (
        TEACHING_GRAMMAR.entropy_per_sentence(),
        TEACHING_GRAMMAR.expected_length(),
    )
    assert abs(bits.mean().item() - entropy) < 3 * standard_error(bits)
    assert abs(lengths.mean().item() - length) < 3 * standard_error(lengths)
    # per word: the error of a ratio of two means
    floor = TEACHING_GRAMMAR.entropy_per_word()
    assert floor == entropy / (length + 1)
    ratio = bits.sum() / (lengths + 1).sum()
    error = standard_error(bits - floor * (lengths + 1)) / (length + 1)
    assert abs(ratio.item() - floor) < 3 * error


# ---- one derivation a sentence -----------------------------------------------------------------


def test_the_lr1_table_has_no_conflict():
    assert lr1_table(TEACHING_GRAMMAR).conflicts == ()


def test_inside_probability_is_the_derivation_probability(samples):
    for sample in samples[:10_000]:
        assert TEACHING_GRAMMAR.log_prob(sample.words) == pytest.approx(
            sample.log_prob, abs=1e-9
        )


def test_no_word_belongs_to_two_rules_apart_from_the_fixed_words_of_the_language():
    homes = Counter(
        word
        for rights in TEACHING_GRAMMAR.rules.values()
        for word in {
            s for right, _ in rights for s in right if s not in TEACHING_GRAMMAR.rules
        }
    )
    assert {word for word, n in homes.items() if n > 1} == {"the", "which"}


# ---- next word ---------------------------------------------------------------------------------


def test_next_word_probs_sum_to_one_and_chain_to_the_sentence(samples):
    for sample in samples[:300]:
        total = 0.0
        for position, word in enumerate([*sample.words, END]):
            probs = TEACHING_GRAMMAR.next_word_probs(sample.words[:position])
            assert math.fsum(probs.values()) == pytest.approx(1, abs=1e-12)
            total += math.log(probs[word])
        assert total == pytest.approx(sample.log_prob, abs=1e-9)


def test_the_verb_must_agree_with_the_subject_and_the_blank_shows_it():
    words = "the rabbit near the cats ? a dog".split()
    fill_in = TEACHING_GRAMMAR.fill_in_probs(words, 5)
    assert {"likes", "sees"} <= set(fill_in) and not {"like", "see"} & set(fill_in)
    assert math.fsum(fill_in.values()) == pytest.approx(1)
    # from the verb back to the noun
    fill_in = TEACHING_GRAMMAR.fill_in_probs("the ? near the cats sleeps".split(), 1)
    assert "rabbit" in fill_in and "rabbits" not in fill_in


def test_the_speaker_must_be_named_again():
    prefix = "Anna says that Ben says that a cat sleeps , agrees".split()
    assert TEACHING_GRAMMAR.next_word_probs(prefix) == pytest.approx({"Ben": 1.0})
    prefix += "Ben , agrees".split()
    assert TEACHING_GRAMMAR.next_word_probs(prefix) == pytest.approx({"Anna": 1.0})
    fill_in = TEACHING_GRAMMAR.fill_in_probs(
        "? says that a cat sleeps , agrees Omar".split(), 0
    )
    assert fill_in == {"Omar": 1.0}


@pytest.mark.parametrize(
    "sentence",
    [
        "the rabbit near the cats sleep",
        "the rabbits which the cat sees sleeps",
        "Anna says that a cat sleeps , agrees Ben",
        "Anna says that a cat sleeps",
        "the small rabbit near the cat sleeps",  # two modifiers
        "every rabbits sleep",
        "",
    ],
)
def test_ungrammatical_sentences_are_impossible(sentence):
    assert TEACHING_GRAMMAR.log_prob(sentence.split()) == -math.inf


def test_an_unknown_word_is_an_error():
    with pytest.raises(ValueError, match="'unicorn' is not one of the 102 words"):
        TEACHING_GRAMMAR.log_prob("the unicorn sleeps".split())


# ---- the split ---------------------------------------------------------------------------------


def test_sizes_words_and_length(language):
    assert [len(part) for part in (language.train, language.dev, language.test)] == [
        40_000,
        2_000,
        4_000,
    ]
    assert len(set(NAMES)) == len(NAMES) == 30
    assert len(TEACHING_GRAMMAR.words) == 102
    assert 10 < TEACHING_GRAMMAR.expected_length() < 13
    assert set(language.tokenizer.tokens) == {"<s>", "</s>", *TEACHING_GRAMMAR.words}
    assert language.floor == TEACHING_GRAMMAR.entropy_per_word()


def test_the_parts_and_the_seeds_are_drawn_apart(language):
    assert (
        language.train[:2_000] != language.dev and language.dev != language.test[:2_000]
    )
    assert teaching_language(1, 10, 1, 1).train != language.train[:10]
    assert teaching_language(0, 10, 1, 1).train == language.train[:10]
    assert "Anna" in " ".join(language.train) and repr(language).startswith(
        "TeachingLanguage(train="
    )


def test_a_part_must_not_be_empty():
    with pytest.raises(ValueError, match="n_dev=0 is not positive"):
        teaching_language(0, 1, 0, 1)


# ---- the grammar behind the one interface ------------------------------------------------------


def test_true_model_forward_and_log_prob_are_the_grammar(language, true_model):
    sentences = [language.tokenizer.encode(text) for text in language.test[:50]]
    for text, sentence in zip(language.test, sentences, strict=False):
        token_ids = torch.tensor([sentence])
        probs = true_model(token_ids[:, :-1]).exp()
        torch.testing.assert_close(probs.sum(-1), torch.ones_like(probs[..., 0]))
        assert not probs[..., 0].any()
        picked = probs[0, torch.arange(len(sentence) - 1), token_ids[0, 1:]].log()
        torch.testing.assert_close(picked, true_model.log_prob(token_ids)[0])
        expected = TEACHING_GRAMMAR.log_prob(text.split())
        assert sentence_log_prob(true_model, sentence) == pytest.approx(
            expected, abs=1e-9
        )


def test_true_model_meets_the_floor(language, true_model):
    sentences = [language.tokenizer.encode(text) for text in language.test]
    bits = cross_entropy(true_model, sentences)
    lengths = torch.tensor([len(s) - 1.0 for s in sentences], dtype=torch.float64)
    surprise = -torch.tensor(
        [TEACHING_GRAMMAR.log_prob(text.split()) for text in language.test],
        dtype=torch.float64,
    ) / math.log(2)
    error = standard_error(surprise - language.floor * lengths) / lengths.mean().item()
    assert abs(bits - language.floor) < 3 * error


def test_true_model_on_what_is_no_sentence(language, true_model):
    tokenizer = language.tokenizer
    bad = tokenizer.encode("the rabbits sleeps a")
    log_prob = true_model.log_prob(torch.tensor([bad]))[0]
    assert log_prob[:2].isfinite().all() and (log_prob[2:] == -math.inf).all()
    assert sentence_log_prob(true_model, bad) == -math.inf
    # after the end, after <s> inside, and without <s>: nothing is possible, and nothing is NaN
    the = tokenizer.token_to_id["the"]
    for ids in ([0, 1, the], [0, 0, the], [the, the]):
        assert (true_model(torch.tensor([ids]))[0, -1] == -math.inf).all()
    with pytest.raises(ValueError, match="104"):
        true_model(torch.tensor([[0, 104]]))


def test_true_model_needs_every_word():
    with pytest.raises(ValueError, match="1 of 2 words .* 'b'"):
        TrueModel(Grammar({"S": {"a b": 1.0}}, "S"), WordTokenizer(["a"]))


# ---- two facts to carry ------------------------------------------------------------------------


@pytest.mark.parametrize("n_phrases", [0, 1, 3])
@pytest.mark.parametrize("congruent", [True, False])
def test_agreement_cases(n_phrases, congruent, language, true_model):
    if n_phrases == 0 and not congruent:
        with pytest.raises(ValueError, match="n_phrases=0 with congruent=False"):
            agreement_cases(1, 0, False, torch.Generator())
        return
    cases = agreement_cases(40, n_phrases, congruent, torch.Generator().manual_seed(3))
    assert Counter(case.right[0] for case in cases) == {"likes": 20, "like": 20}
    for case in cases:
        assert len(case.prefix) == case.distance + 1 == 3 * n_phrases + 2
        possible = TEACHING_GRAMMAR.next_word_probs(case.prefix)
        assert set(case.right) <= set(possible) and not set(case.wrong) & set(possible)
        # a verb right after the last noun alone agrees with it
        alone = TEACHING_GRAMMAR.next_word_probs(["the", case.prefix[-1]])
        assert set(case.right if congruent else case.wrong) <= set(alone)
    assert probe_accuracy(true_model, language.tokenizer, cases) == 1


def test_recall_cases(language, true_model):
    cases = recall_cases(language.test[:200])
    assert len(cases) == sum(text.count("agrees") for text in language.test[:200])
    for case in cases:
        assert case.prefix[len(case.prefix) - case.distance] == case.right[0]
        assert len({*case.right, *case.wrong}) == 30
    assert probe_accuracy(true_model, language.tokenizer, cases) == 1
    with pytest.raises(ValueError, match="'Ben' closes a speech that it did not open"):
        recall_cases(["Anna says that a cat sleeps , agrees Ben"])


def test_a_tie_counts_in_part(language):
    from lmcourse.language_models import Uniform

    uniform = Uniform(len(language.tokenizer))
    cases = recall_cases(language.test[:50])
    assert probe_accuracy(uniform, language.tokenizer, cases) == pytest.approx(1 / 30)
    cases = agreement_cases(10, 2, True, torch.Generator())
    assert probe_accuracy(uniform, language.tokenizer, cases) == pytest.approx(1 / 2)
    with pytest.raises(ValueError, match="0 cases"):
        probe_accuracy(uniform, language.tokenizer, [])


def test_one_mistake_breaks_any_sentence(language):
    stream = torch.Generator().manual_seed(0)
    names = verbs = 0
    for text in language.test[:300]:
        words = text.split()
        broken = broken_sentence(words, stream)
        places = [i for i, word in enumerate(words) if word != broken[i]]
        assert len(broken) == len(words) and len(places) == 1
        assert TEACHING_GRAMMAR.log_prob(broken) == -math.inf
        is_name = words[places[0]] in NAMES
        names, verbs = names + is_name, verbs + (not is_name)
        assert not is_name or words[places[0] - 1] == "agrees"
    assert names > 30 and verbs > 100


def test_what_is_no_sentence_cannot_be_broken():
    with pytest.raises(ValueError, match="'the rabbit sleep' is no sentence"):
        broken_sentence("the rabbit sleep".split(), torch.Generator())


def test_every_word_is_one_piece(language):
    tokenizer = teaching_wordpiece()
    for text in language.test[:300]:
        assert tokenizer.split(text) == text.split()
