"""Language models: the chain rule, bits, perplexity, against what theory says."""

import math

import pytest
import torch
from torch import nn

from lmcourse.language_models import (
    LanguageModel,
    Uniform,
    Unigram,
    cross_entropy,
    gap,
    pad_sentences,
    perplexity,
    sentence_log_prob,
    token_log_probs,
)

SENTENCES = [[0, 2, 3, 1], [0, 4, 1], [0, 2, 2, 3, 5, 1], [0, 1]]


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_the_mode_as_it_was(training):
    model = Uniform(6).train(training)
    cross_entropy(model, SENTENCES)
    assert model.training == training


def test_the_interface_itself_has_no_answer():
    with pytest.raises(NotImplementedError):
        LanguageModel()(torch.tensor([[0]]))


class Random(LanguageModel):
    """A neural model in small: random logits for each last token, and dropout."""

    def __init__(self, vocab_size: int = 6):
        super().__init__()
        self.vocab_size = vocab_size
        generator = torch.Generator().manual_seed(1)
        self.table = nn.Parameter(
            torch.randn(vocab_size, vocab_size, generator=generator)
        )
        self.dropout = nn.Dropout(0.5)

    def forward(self, token_ids):
        return self.dropout(self.table[token_ids])


def test_uniform_needs_log2_of_the_tokens_that_can_come():
    assert cross_entropy(Uniform(9), [[0, 2, 7, 1]]) == pytest.approx(3, abs=1e-12)
    assert perplexity(cross_entropy(Uniform(7), SENTENCES)) == pytest.approx(6)


def test_unigram_on_its_own_text_needs_the_entropy_of_the_counts():
    model = Unigram.fit(SENTENCES, vocab_size=6)
    assert model.counts.tolist() == [0, 4, 3, 2, 1, 1]
    entropy = -sum(n / 11 * math.log2(n / 11) for n in (4, 3, 2, 1, 1))
    assert cross_entropy(model, SENTENCES) == pytest.approx(entropy, abs=1e-12)


def test_unigram_finds_the_unseen_impossible():
    model = Unigram.fit([[0, 2, 1]], vocab_size=4)
    assert sentence_log_prob(model, [0, 3, 1]) == -math.inf
    assert cross_entropy(model, [[0, 3, 1]]) == perplexity(math.inf) == math.inf


def test_log_prob_is_torchs_cross_entropy():
    model = Random().eval()
    token_ids = torch.tensor([[0, 2, 3, 5, 1], [0, 4, 4, 2, 1]])
    theirs = nn.functional.cross_entropy(
        model(token_ids[:, :-1]).transpose(1, 2), token_ids[:, 1:], reduction="none"
    )
    torch.testing.assert_close(model.log_prob(token_ids), -theirs)


def test_chain_rule_multiplies_the_probabilities_of_the_tokens():
    model, sentence = Random().eval(), [0, 2, 5, 1]
    probs = [
        model(torch.tensor([sentence[:t]]))[0, -1].softmax(-1)[sentence[t]].item()
        for t in range(1, 4)
    ]
    assert sentence_log_prob(model, sentence) == pytest.approx(
        math.log(math.prod(probs))
    )


def test_padding_and_batch_size_change_nothing():
    model = Random()
    alone = [token_log_probs(model, [sentence])[0] for sentence in SENTENCES]
    for batch_size in (1, 3, 64):
        together = token_log_probs(model, SENTENCES, batch_size)
        assert [len(row) for row in together] == [3, 2, 5, 1]
        torch.testing.assert_close(together, alone)


def test_evaluation_switches_dropout_off_and_back_on():
    model = Random().train()
    assert cross_entropy(model, SENTENCES) == cross_entropy(model, SENTENCES)
    assert model.training


def test_padding_fills_on_the_right_and_the_mask_is_true_for_tokens():
    token_ids, mask = pad_sentences(SENTENCES)
    assert token_ids.shape == mask.shape == (4, 6)
    assert mask.sum(dim=1).tolist() == [4, 3, 6, 2]
    assert [token_ids[i][mask[i]].tolist() for i in range(4)] == SENTENCES
    assert token_ids[~mask].unique().tolist() == [0]


def test_every_distribution_sums_to_one_and_leaves_out_bos():
    token_ids = torch.tensor([[0, 2, 3], [5, 4, 1]])
    for model in (Uniform(6), Unigram.fit(SENTENCES, 6)):
        probs = model(token_ids).exp()
        assert probs.shape == (2, 3, 6)
        torch.testing.assert_close(probs.sum(-1), torch.ones(2, 3, dtype=torch.float64))
        assert (probs[..., 0] == 0).all()


def test_gap_is_the_difference_of_cross_entropies_and_zero_to_oneself():
    model, reference = Random(), Unigram.fit(SENTENCES, 6)
    difference = cross_entropy(model, SENTENCES) - cross_entropy(reference, SENTENCES)
    assert gap(model, reference, SENTENCES) == pytest.approx(difference, abs=1e-6)
    assert gap(reference, reference, SENTENCES) == 0


def test_gap_is_steadier_than_the_cross_entropy():
    """Over test sets drawn anew, the paired difference varies less than either term."""
    generator = torch.Generator().manual_seed(0)
    rare, common = Unigram([0, 10, 10, 10, 100, 1]), Unigram([0, 11, 9, 11, 99, 1])
    gaps, bits = [], []
    for _ in range(20):
        drawn = torch.multinomial(rare.counts, 200, True, generator=generator)
        sentence = [0, *[t for t in drawn.tolist() if t > 1], 1]
        gaps.append(gap(common, rare, [sentence]))
        bits.append(cross_entropy(common, [sentence]))
    assert torch.tensor(gaps).std() < 0.2 * torch.tensor(bits).std()


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([], "0 sentences"),
        ([[]], r"sentence 0 is \[\]"),
        ([[0, 2, 1], [2, 1]], "sentence 1 begins with 2 and ends with 1"),
        ([[0, 2]], "begins with 0 and ends with 2"),
        ([[0, 2, 6, 1]], r"ids 2 \.\. 6 inside.*2 \.\. 5"),
        ([[0, -3, 1]], r"ids -3 \.\. -3 inside"),
        ([[0, 2, 1, 3, 1]], "between <s> and </s>"),
    ],
)
def test_sentences_that_are_none_are_refused(sentences, message):
    for measure in (
        lambda: cross_entropy(Uniform(6), sentences),
        lambda: Unigram.fit(sentences, vocab_size=6),
    ):
        with pytest.raises(ValueError, match=message):
            measure()


def test_bad_models_and_tokens_are_refused():
    with pytest.raises(ValueError, match="vocab_size=1"):
        Uniform(1)
    with pytest.raises(ValueError, match="sum 0"):
        Unigram([0, 0, 0])
    with pytest.raises(ValueError, match="counts from -1"):
        Unigram([0, 3, -1])
    with pytest.raises(ValueError, match="of <s> 2"):
        Unigram([2, 3, 1])
    with pytest.raises(ValueError, match=r"token id 6 is outside 0 \.\. 5"):
        Uniform(6)(torch.tensor([[0, 6]]))
    with pytest.raises(ValueError, match="token id -1 is outside"):
        Unigram.fit(SENTENCES, 6)(torch.tensor([[-1, 2]]))
    with pytest.raises(ValueError, match="0 sentences"):
        pad_sentences([])


class OnlyTwo(LanguageModel):
    """After <s> only token 2 can come, and after everything else nothing can."""

    vocab_size = 4

    def forward(self, token_ids):
        logits = torch.full((*token_ids.shape, 4), -torch.inf)
        logits[..., 2] = torch.where(token_ids == 0, 0.0, -torch.inf)
        return logits


def test_after_the_impossible_everything_is_impossible_not_nan():
    log_probs = OnlyTwo().log_prob(torch.tensor([[0, 2, 3, 1]]))
    assert log_probs.tolist() == [[0.0, -math.inf, -math.inf]]
    with pytest.raises(ValueError, match="2 of 3 tokens are impossible for both"):
        gap(OnlyTwo(), OnlyTwo(), [[0, 2, 3, 1]])


class Failing(LanguageModel):
    vocab_size = 4

    def forward(self, token_ids):
        raise RuntimeError("no answer")


def test_a_failure_gives_the_training_mode_back():
    model = Failing().train()
    with pytest.raises(RuntimeError):
        token_log_probs(model, [[0, 2, 1]])
    assert model.training


def test_a_batch_has_at_least_one_sentence():
    with pytest.raises(ValueError, match="batch_size=-1"):
        token_log_probs(Uniform(4), [[0, 2, 1]], batch_size=-1)
