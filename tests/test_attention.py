"""Attention: against plain double loops, torch, NLTK and alignments counted by hand."""

import itertools
import math
import re

import jaxtyping
import numpy as np
import pytest
import torch
from nltk.translate import AlignedSent
from nltk.translate import IBMModel1 as NLTKModel1
from nltk.translate.metrics import alignment_error_rate as nltk_error_rate
from torch.nn import functional as F

from lmcourse.attention import (
    AdditiveScore,
    AttentionDecoder,
    DotScore,
    GeneralScore,
    IBMModel1,
    alignment_error_rate,
    attend,
    attention_translator,
    attention_weights,
    diagonal_links,
    masked_softmax,
    strongest_links,
    uniform_links,
)
from lmcourse.language_models import pad_sentences
from lmcourse.rnn import GRU
from lmcourse.seq2seq import (
    Bidirectional,
    Decoder,
    DecoderState,
    Encoder,
    Seq2Seq,
    beam_search,
    greedy_search,
)
from lmcourse.training import initialised, train

SOURCES = [[0, 6, 1], [0, 2, 5, 3, 4, 2, 1], [0, 1], [0, 3, 3, 6, 1]]
TARGETS = [[0, 4, 2, 2, 1], [0, 1], [0, 3, 2, 4, 4, 2, 3, 1], [0, 2, 1]]
PAIRS = list(zip(SOURCES, TARGETS, strict=True))
SCORES = ["additive", "dot", "general"]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def tiny(kind: str, seed: int = 0) -> Seq2Seq:
    """A random translator in float64. Every size is different, except where dot needs it."""
    torch.manual_seed(seed)
    d_hidden = 8 if kind == "dot" else 6
    score = {
        "additive": lambda: AdditiveScore(d_query=6, d_key=8, d_score=9),
        "dot": DotScore,
        "general": lambda: GeneralScore(d_query=6, d_key=8),
    }[kind]()
    model = Seq2Seq(
        Encoder(7, Bidirectional(GRU(3, 4), GRU(3, 4))),
        AttentionDecoder(score, 5, d_embedding=4, d_hidden=d_hidden, d_memory=8),
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.5)
    return model


def close(ours, theirs, atol=1e-12):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


# -------------------------------------------------------------------------------- the weights


def some_mask() -> torch.Tensor:
    """(2, 3, 5); every row may attend to something, one of them to everything."""
    mask = torch.rand(2, 3, 5, generator=seeded(1)) < 0.5
    mask[..., 2] = True
    mask[1, 0] = True
    assert not mask.all()
    return mask


def test_masked_softmax_is_the_softmax_of_what_may_be_seen():
    scores, mask = normal(2, 3, 5).requires_grad_(), some_mask()
    factors = normal(2, 3, 5, seed=2)
    weights = masked_softmax(scores, mask)
    (weights * factors).sum().backward()
    for row in itertools.product(range(2), range(3)):
        seen = mask[row]
        alone = scores[row][seen].detach().requires_grad_()
        theirs = alone.softmax(dim=0)
        (theirs * factors[row][seen]).sum().backward()
        close(weights[row][seen], theirs)
        close(scores.grad[row][seen], alone.grad)
    assert (weights[~mask] == 0.0).all() and (scores.grad[~mask] == 0.0).all()
    close(weights.sum(dim=-1), torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("hidden", [1e30, -1e30, math.inf, math.nan])
def test_a_score_that_is_masked_does_not_count_whatever_it_is(hidden):
    scores, mask = normal(2, 3, 5), some_mask()
    expected = masked_softmax(scores, mask)
    changed = scores.masked_fill(~mask, hidden).requires_grad_()
    weights = masked_softmax(changed, mask)
    assert torch.equal(weights, expected)
    weights.square().sum().backward()
    assert (changed.grad[~mask] == 0.0).all() and changed.grad.isfinite().all()


def test_large_scores_overflow_nothing():
    weights = masked_softmax(torch.tensor([1e30, 1e30, -1e30]), torch.ones(3) > 0)
    assert weights.tolist() == [0.5, 0.5, 0]


def test_the_first_row_that_may_attend_to_nothing_is_named():
    mask = some_mask()
    mask[1, 0] = mask[1, 2] = False
    sentence = (
        "the mask of row (1, 0) is False everywhere; each row must attend to something"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        masked_softmax(normal(2, 3, 5), mask)


def attend_by_loops(scores, values, mask):
    """Weighted means, number by number, and the weights."""
    contexts, all_weights = [], []
    for row in range(len(scores)):
        powers = [
            math.exp(score) if seen else 0.0
            for score, seen in zip(
                scores[row].tolist(), mask[row].tolist(), strict=True
            )
        ]
        weights = [power / sum(powers) for power in powers]
        contexts.append(
            [
                dot(weights, [value[d] for value in values[row].tolist()])
                for d in range(values.shape[2])
            ]
        )
        all_weights.append(weights)
    return (
        torch.tensor(contexts, dtype=torch.float64),
        torch.tensor(all_weights, dtype=torch.float64),
    )


def three_rows():
    """Scores (3, 5), values (3, 5, 7) and a mask (3, 5)."""
    mask = torch.arange(5) < torch.tensor([[5], [2], [4]])
    return normal(3, 5), normal(3, 5, 7, seed=1), mask


def test_attend_equals_plain_loops():
    context, weights = attend(*three_rows())
    their_context, their_weights = attend_by_loops(*three_rows())
    close(context, their_context)
    close(weights, their_weights)


def test_attend_does_not_look_at_masked_values():
    scores, values, mask = three_rows()
    context, _ = attend(scores, values, mask)
    changed = values.masked_fill(~mask[:, :, None], 1e6)
    assert torch.equal(attend(scores, changed, mask)[0], context)


def test_the_context_is_a_convex_combination_of_what_may_be_seen():
    scores, values, mask = three_rows()
    context, weights = attend(3 * scores, values, mask)
    assert (weights >= 0).all()
    hidden = ~mask[:, :, None]
    assert (context > values.masked_fill(hidden, math.inf).amin(dim=1)).all()
    assert (context < values.masked_fill(hidden, -math.inf).amax(dim=1)).all()
    same = torch.full_like(values, 3.25)
    close(attend(scores, same, mask)[0], same[:, 0])
    sure = torch.zeros(3, 5, dtype=torch.float64)
    sure[:, 1] = 1e4
    assert torch.equal(attend(sure, values, mask)[0], values[:, 1])


# --------------------------------------------------------------------------------- the scores


def dot(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


def times(weight, vector):
    return [dot(row, vector) for row in weight.tolist()]


def score_by_hand(score, query, key):
    """One query and one key, number by number."""
    if isinstance(score, DotScore):
        return dot(query, key)
    projected = times(score.key_projection.weight, key)
    if isinstance(score, GeneralScore):
        return dot(query, projected)
    of_query = times(score.query_projection.weight, query)
    hidden = [math.tanh(a + b) for a, b in zip(of_query, projected, strict=True)]
    return dot(score.vector.weight[0].tolist(), hidden)


@pytest.mark.parametrize(
    ("make", "d_query"),
    [
        (lambda: AdditiveScore(d_query=4, d_key=5, d_score=6), 4),
        (DotScore, 5),
        (lambda: GeneralScore(d_query=4, d_key=5), 4),
    ],
    ids=SCORES,
)
def test_scores_equal_plain_loops(make, d_query):
    torch.manual_seed(0)
    score = make().double()
    query, memory = normal(2, d_query), normal(2, 3, 5, seed=1)
    scores = score(query, score.prepare(memory))
    assert scores.shape == (2, 3)
    for row, key in itertools.product(range(2), range(3)):
        expected = score_by_hand(score, query[row].tolist(), memory[row, key].tolist())
        assert scores[row, key].item() == pytest.approx(expected, abs=1e-12)


def test_the_general_score_with_the_identity_is_the_dot_product():
    general = GeneralScore(d_query=5, d_key=5).double()
    with torch.no_grad():
        general.key_projection.weight.copy_(torch.eye(5))
    query, memory = normal(2, 5), normal(2, 3, 5, seed=1)
    close(general(query, general.prepare(memory)), DotScore()(query, memory))


def test_dot_attention_is_torchs_with_scale_1():
    query, keys = normal(3, 6, seed=3).requires_grad_(), normal(3, 5, 6, seed=4)
    _, values, mask = three_rows()
    context, _ = attend(DotScore()(query, keys), values, mask)
    theirs = F.scaled_dot_product_attention(
        query[:, None], keys, values, attn_mask=mask[:, None], scale=1
    ).squeeze(1)
    close(context, theirs)
    [ours] = torch.autograd.grad(context.square().sum(), query, retain_graph=True)
    [expected] = torch.autograd.grad(theirs.square().sum(), query)
    close(ours, expected)


def test_sizes_that_a_dot_product_cannot_take(monkeypatch):
    """The message of the course, where no type checker stands before it."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    sentence = "d_query=4 and d_key=5; a dot product needs the same size (GeneralScore does not)"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        DotScore()(torch.zeros(2, 4), torch.zeros(2, 3, 5))


# -------------------------------------------------------------------------------- the decoder


@pytest.mark.parametrize("kind", SCORES)
@torch.no_grad()
def test_the_order_of_the_memory_does_not_matter(kind):
    model = tiny(kind)
    encoded = model.encoder.encode(SOURCES)
    order = torch.randperm(7, generator=seeded(5))
    assert order.tolist() != sorted(order.tolist())
    moved = encoded._replace(
        memory=encoded.memory[:, order], mask=encoded.mask[:, order]
    )
    token_ids = torch.tensor([0, 3, 4, 2])
    states = [model.decoder.start(one) for one in (encoded, moved)]
    (_, weights), (_, moved_weights) = map(model.decoder.attend, states)
    close(moved_weights, weights[:, order])
    logits, moved_logits = (model.decoder.step(token_ids, state)[0] for state in states)
    close(moved_logits, logits)


def fixed_decoder(decoder: AttentionDecoder) -> Decoder:
    """The decoder of chapter 4 with the same weights."""
    plain = Decoder(
        decoder.vocab_size,
        decoder.embedding.embedding_dim,
        decoder.cell.d_hidden,
        decoder.bridge.in_features,
    ).double()
    own = plain.state_dict()
    plain.load_state_dict({name: decoder.state_dict()[name] for name in own})
    return plain


@pytest.mark.parametrize("kind", SCORES)
@torch.no_grad()
def test_the_decoder_is_that_of_chapter_4_with_a_new_context_at_each_step(kind):
    model = tiny(kind)
    decoder, plain = model.decoder, fixed_decoder(model.decoder)
    encoded = model.encoder.encode(SOURCES)
    state, expected = decoder.start(encoded), plain.start(encoded)
    close(state.hidden, expected.hidden)
    used = []
    for token_ids in torch.tensor([[0, 0, 0, 0], [3, 4, 2, 1], [2, 2, 3, 4]]):
        scores = [
            [
                score_by_hand(decoder.score, query, key)
                for key in encoded.memory[row].tolist()
            ]
            for row, query in enumerate(expected.hidden.tolist())
        ]
        context, weights = attend_by_loops(
            torch.tensor(scores, dtype=torch.float64), encoded.memory, encoded.mask
        )
        close(decoder.attend(state)[1], weights)
        used.append(weights)
        logits, state = decoder.step(token_ids, state)
        expected = DecoderState(expected.hidden, encoded._replace(context=context))
        their_logits, expected = plain.step(token_ids, expected)
        close(logits, their_logits, atol=1e-11)
        close(state.hidden, expected.hidden, atol=1e-11)
    assert (used[1] - used[0]).abs().max() > 0.01  # made anew at every step


@torch.no_grad()
def test_equal_scores_give_the_mean_of_the_memory():
    model = tiny("additive")
    model.decoder.score.vector.weight.zero_()
    state = model.start(SOURCES)
    context, weights = model.decoder.attend(state)
    for row, source in enumerate(SOURCES):
        mean = model.encoder.encode([source]).memory[0].mean(dim=0)
        close(context[row], mean)
        expected = [1 / len(source)] * len(source) + [0] * (7 - len(source))
        assert weights[row].tolist() == pytest.approx(expected, abs=1e-15)
    plain = fixed_decoder(model.decoder)
    fixed = DecoderState(state.hidden, state.encoded._replace(context=context))
    for token_ids in torch.tensor([[0, 0, 0, 0], [3, 4, 2, 1]]):
        logits, state = model.decoder.step(token_ids, state)
        theirs, fixed = plain.step(token_ids, fixed)
        close(logits, theirs)


@pytest.mark.parametrize("kind", SCORES)
def test_padding_changes_no_log_prob_and_no_gradient(kind):
    model = tiny(kind)
    together = model.predicted_log_probs(PAIRS)
    alone = torch.cat([model.predicted_log_probs([pair]) for pair in PAIRS])
    close(together, alone)
    factors = torch.linspace(1, 2, len(together), dtype=torch.float64)
    parameters = [*model.parameters()]
    gradients = torch.autograd.grad((together * factors).sum(), parameters)
    expected = torch.autograd.grad((alone * factors).sum(), parameters)
    for gradient, theirs in zip(gradients, expected, strict=True):
        assert gradient.any()
        close(gradient, theirs, atol=1e-10)


@pytest.mark.parametrize("kind", SCORES)
@torch.no_grad()
def test_what_comes_later_in_the_target_cannot_change_a_score(kind):
    model = tiny(kind)
    target_ids = torch.tensor([[0, 3, 2, 4]] * len(SOURCES))
    logits = model(SOURCES, target_ids)
    for place in range(4):
        changed = target_ids.clone()
        changed[:, place] = 1
        others = model(SOURCES, changed)
        assert torch.equal(others[:, :place], logits[:, :place])
        assert (others - logits)[:, place:].abs().amax(dim=2).min() > 1e-6


@pytest.mark.parametrize("kind", SCORES)
def test_the_searches_take_an_attention_decoder(kind):
    for seed in range(2):
        model = tiny(kind, seed)
        together = greedy_search(model, SOURCES, max_new_tokens=5)
        for source, written in zip(SOURCES, together, strict=True):
            assert greedy_search(model, [source], max_new_tokens=5) == [written]
            [narrow] = beam_search(model, source, width=1, max_new_tokens=5)
            assert list(narrow.token_ids) == written
            for one in beam_search(model, source, width=4, max_new_tokens=5):
                pair = (source, list(one.token_ids))
                expected = model.predicted_log_probs([pair]).sum().item()
                assert one.log_prob == pytest.approx(expected, abs=1e-11)


def test_one_batch_can_be_memorised():
    model = initialised(lambda: attention_translator(7, 5, 24), 0, "memorise")
    history = train(model, PAIRS, steps=40, lr=0.03)
    assert history.losses[0] == pytest.approx(math.log2(5), abs=0.5)
    assert history.losses[-1] < 0.05
    assert greedy_search(model, SOURCES, 10) == TARGETS


# -------------------------------------------------------------------------- attention weights


def test_attention_weights_are_those_that_the_steps_use(monkeypatch):
    model = tiny("additive")
    used = []

    def watched(state):
        context, weights = AttentionDecoder.attend(model.decoder, state)
        used.append(weights)
        return context, weights

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(model.decoder, "attend", watched, raising=False)
        target_ids, _ = pad_sentences(TARGETS)
        model(SOURCES, target_ids[:, :-1])
    assert len(used) == 7  # steps
    measured = attention_weights(model, PAIRS)
    for row, (source, target) in enumerate(PAIRS):
        weights = measured[row]
        assert weights.shape == (len(target) - 1, len(source))
        for step in range(len(target) - 1):
            assert torch.equal(used[step][row, : len(source)], weights[step])
            assert (used[step][row, len(source) :] == 0.0).all()
        close(weights.sum(dim=1), torch.ones(len(target) - 1, dtype=torch.float64))
        close(attention_weights(model, [PAIRS[row]])[0], weights)
    assert not measured[0].requires_grad


def test_the_last_word_written_is_not_yet_in_the_query():
    """As in Bahdanau et al.: the step that reads a word has looked at the source before."""
    model = tiny("additive")
    [first] = attention_weights(model, [(SOURCES[1], [0, 2, 3, 4, 2, 1])])
    [second] = attention_weights(model, [(SOURCES[1], [0, 2, 4, 4, 2, 1])])
    assert torch.equal(first[:3], second[:3])
    assert (first[3:] - second[3:]).abs().amax(dim=1).min() > 1e-6


def test_measuring_weights_leaves_the_mode_of_the_model_as_it_was():
    model = tiny("dot")
    for training in (True, False):
        model.train(training)
        attention_weights(model, PAIRS)
        assert model.training == training


def test_strongest_links_by_hand():
    weights = torch.tensor(
        [  # <s>  0    1    2   </s>
            [0.9, 0.0, 0.1, 0.0, 0.0],  # <s> has more, but is no word
            [0.1, 0.2, 0.2, 0.3, 0.2],
            [0.0, 0.3, 0.1, 0.0, 0.6],  # so has </s>
            [0.0, 0.2, 0.3, 0.4, 0.1],
            [0.0, 0.9, 0.0, 0.1, 0.0],  # </s> is written: no word
        ]
    )
    assert strongest_links(weights) == {(1, 0), (2, 1), (0, 2), (2, 3)}
    assert strongest_links(weights[-1:]) == frozenset()


# --------------------------------------------------------------------------------- alignments


def links(text: str) -> frozenset[tuple[int, int]]:
    """`links("0-1 2-0")`: the source position first."""
    return frozenset(tuple(map(int, link.split("-"))) for link in text.split())


SURE, POSSIBLE = links("0-0 1-3 2-1"), links("0-0 1-3 2-1 2-2 3-3")


@pytest.mark.parametrize(
    ("predicted", "error"),
    [
        ("0-0 1-3 2-1", 0),  # A = S
        ("0-0 1-3 2-1 2-2", 0),  # one more, possible but not sure
        ("0-0 1-3 2-1 2-2 3-3", 0),  # A = P
        ("0-0 1-3 2-1 0-2", 1 - (3 + 3) / (4 + 3)),  # one more, not possible
        ("0-0 2-1", 1 - (2 + 2) / (2 + 3)),  # a sure one is missing
        ("0-0 2-1 2-2", 1 - (2 + 3) / (3 + 3)),  # a possible one does not replace it
        ("2-2 3-3", 1 - (0 + 2) / (2 + 3)),  # only possible ones
        ("0-1 1-0", 1),
        ("", 1),
    ],
)
def test_alignment_error_rate_by_hand(predicted, error):
    found = alignment_error_rate([links(predicted)], [SURE], [POSSIBLE])
    assert found == pytest.approx(error, abs=1e-15)


def test_alignment_error_rate_counts_all_sentences_together():
    predicted = [links("0-0"), links("0-1 1-0 2-2")]
    sure = [links("0-0 1-1"), links("0-1")]
    possible = [links("0-0 1-1"), links("0-1 1-0")]
    # found: 1 + 1 sure, 1 + 2 possible; links: 1 + 3 predicted, 2 + 1 sure
    assert alignment_error_rate(predicted, sure, possible) == 1 - 5 / 7
    assert alignment_error_rate(map(frozenset, predicted), sure, iter(possible)) == (
        1 - 5 / 7
    )


def random_links(probability: float, seed: int) -> frozenset[tuple[int, int]]:
    drawn = torch.rand(4, 5, generator=seeded(seed)) < probability
    return frozenset(map(tuple, drawn.nonzero().tolist()))


def test_alignment_error_rate_is_that_of_nltk_bounded_and_monotone():
    errors = set()
    for seed in range(200):
        sure = random_links(0.3, seed) | {(3, 4)}
        predicted = random_links(0.4, seed + 1000)
        possible = sure | random_links(0.3, seed + 2000)
        error = alignment_error_rate([predicted], [sure], [possible])
        errors.add(error)
        theirs = nltk_error_rate(sure, predicted, possible)
        assert error == pytest.approx(theirs, abs=1e-15)
        assert 0 <= error <= 1
        # With S = P it is 1 - F1.
        precision = len(predicted & sure) / len(predicted)
        recall = len(predicted & sure) / len(sure)
        if precision:
            f1 = 2 * precision * recall / (precision + recall)
            strict = alignment_error_rate([predicted], [sure], [sure])
            assert strict == pytest.approx(1 - f1, abs=1e-12)
        everything = frozenset(itertools.product(range(4), range(5)))
        for link in sure - predicted:  # a sure one more makes it better
            assert (
                alignment_error_rate([predicted | {link}], [sure], [possible]) < error
            )
        for link in everything - possible - predicted:  # an impossible one, worse
            worse = alignment_error_rate([predicted | {link}], [sure], [possible])
            assert worse > error or error == worse == 1
    assert len(errors) > 50


def test_errors_of_the_alignment_error_rate():
    sentence = "^the sure link \\(1, 2\\) is not possible; every sure link must be$"
    with pytest.raises(ValueError, match=sentence):
        alignment_error_rate([links("")], [links("0-0 3-1 1-2")], [links("0-0")])
    sentence = "^0 links, predicted and sure; at least 1 is needed$"
    with pytest.raises(ValueError, match=sentence):
        alignment_error_rate([links("")], [links("")], [links("0-0")])
    with pytest.raises(ValueError, match="shorter|longer"):
        alignment_error_rate([SURE], [SURE, SURE], [SURE, SURE])


def test_diagonal_links():
    assert diagonal_links(4, 4) == links("0-0 1-1 2-2 3-3")
    assert diagonal_links(2, 5) == links("0-0 0-1 0-2 1-3 1-4")
    assert diagonal_links(6, 3) == links("0-0 2-1 4-2")
    assert diagonal_links(1, 3) == links("0-0 0-1 0-2")
    for n_source, n_target in itertools.product(range(1, 8), repeat=2):
        by_target = sorted(diagonal_links(n_source, n_target), key=lambda link: link[1])
        sources = [i for i, _ in by_target]
        assert [j for _, j in by_target] == [*range(n_target)]
        assert sources == sorted(sources) and max(sources) < n_source
        assert n_target < n_source or {*sources} == {*range(n_source)}


def test_uniform_links_are_drawn_evenly():
    n_draws = 3_000
    counts = np.zeros((3, 5))
    generator = seeded(0)
    for _ in range(n_draws):
        drawn = uniform_links(3, 5, generator)
        assert sorted(j for _, j in drawn) == [0, 1, 2, 3, 4]
        for i, j in drawn:
            counts[i, j] += 1
    margin = 4.5 * math.sqrt(1 / 3 * 2 / 3 / n_draws)
    assert abs(counts / n_draws - 1 / 3).max() < margin
    assert uniform_links(9, 9, seeded(1)) == uniform_links(9, 9, seeded(1))
    assert uniform_links(9, 9, seeded(1)) != uniform_links(9, 9, seeded(2))


# ---------------------------------------------------------------------------------- IBM Model 1

CORPUS = [  # no target word twice in a sentence: NLTK counts such words otherwise
    ([0, 2, 3, 1], [0, 2, 3, 1]),
    ([0, 2, 4, 1], [0, 4, 2, 1]),
    ([0, 5, 4, 1], [0, 4, 5, 6, 1]),
    ([0, 3, 1], [0, 3, 6, 1]),
    ([0, 5, 2, 5, 1], [0, 5, 2, 1]),  # a source word twice
    ([0, 5, 3, 4, 1], [0, 3, 1]),
]


@pytest.mark.parametrize("n_rounds", [1, 2, 5, 20])
def test_ibm_model_1_is_that_of_nltk(n_rounds):
    """NLTK's `mots` are the source, its NULL word is None; here it is `<s>`, number 0."""
    table = IBMModel1(6, 7).fit(CORPUS, n_rounds).table
    sentences = [AlignedSent(target[1:-1], source[1:-1]) for source, target in CORPUS]
    theirs = NLTKModel1(sentences, n_rounds).translation_table
    together = {
        (s, t)
        for source, target in CORPUS
        for s, t in itertools.product(source[:-1], target[1:-1])
    }
    for s, t in itertools.product(range(6), range(7)):
        expected = theirs[t][s or None] if (s, t) in together else 0
        assert table[s, t] == pytest.approx(expected, abs=1e-6)
    assert len(together) > 15
    assert table.sum(axis=1) == pytest.approx([1, 0, 1, 1, 1, 1], abs=1e-12)


def test_a_round_of_ibm_model_1_by_hand():
    """A target word that comes twice counts twice; at first all source words share evenly."""
    pairs = [([0, 2, 1], [0, 2, 2, 3, 1]), ([0, 2, 3, 1], [0, 3, 1])]
    # Shares: in the first pair 1/2 for each of <s> and 2, in the second 1/3 for <s>, 2 and 3.
    expected = np.zeros((4, 4))
    expected[0] = expected[2] = [0, 0, 1, 1 / 2 + 1 / 3]
    expected[3] = [0, 0, 0, 1 / 3]
    table = IBMModel1(4, 4).fit(pairs, n_rounds=1).table
    for row in (0, 2, 3):
        assert table[row] == pytest.approx(
            expected[row] / expected[row].sum(), abs=1e-15
        )
    assert not table[1].any()


def log_likelihood(model: IBMModel1, pairs) -> float:
    """log P(targets | sources), each target word from a source word drawn evenly."""
    return sum(
        math.log(np.mean([model.table[s, t] for s in source[:-1]]))
        for source, target in pairs
        for t in target[1:-1]
    )


def dictionary_pairs(n_pairs: int, seed: int):
    """Source words 2 .. 8 become 12 - word, in another order; sometimes a 3 comes from nowhere."""
    stream, pairs, gold = seeded(seed), [], []
    for _ in range(n_pairs):
        length = int(torch.randint(2, 6, (1,), generator=stream))
        words = (torch.randperm(7, generator=stream)[:length] + 2).tolist()
        order = torch.randperm(length, generator=stream).tolist()
        target = [12 - words[i] for i in order]
        where = [(i, j) for j, i in enumerate(order)]
        if torch.rand((), generator=stream) < 0.5:
            target.append(3)
        pairs.append(([0, *words, 1], [0, *target, 1]))
        gold.append(frozenset(where))
    return pairs, gold


def test_the_likelihood_never_falls():
    pairs, _ = dictionary_pairs(60, seed=0)
    model, likelihoods = IBMModel1(9, 11), []
    for _ in range(15):
        likelihoods.append(log_likelihood(model.fit(pairs, n_rounds=1), pairs))
    assert all(after > before for before, after in itertools.pairwise(likelihoods))
    at_once = IBMModel1(9, 11).fit(pairs, n_rounds=15)
    assert np.array_equal(at_once.table, model.table)


def test_ibm_model_1_learns_a_dictionary_and_what_comes_from_nowhere():
    pairs, gold = dictionary_pairs(200, seed=1)
    model = IBMModel1(9, 11).fit(pairs, n_rounds=30)
    assert model.table[2:9].argmax(axis=1).tolist() == [
        12 - word for word in range(2, 9)
    ]
    assert model.table[0].argmax() == 3
    found = [model.links(pair) for pair in pairs]
    assert found == gold
    assert alignment_error_rate(found, gold, gold) == 0


def test_ibm_model_1_says_its_size():
    assert repr(IBMModel1(4, 6)) == "IBMModel1(4, 6)"
