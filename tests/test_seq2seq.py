"""Sequence to sequence: against torch.nn, plain loops and the enumeration of all translations."""

import itertools
import math
import re

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lmcourse.language_models import pad_sentences
from lmcourse.rnn import GRU, LSTM, RNN
from lmcourse.seq2seq import (
    Bidirectional,
    Decoder,
    DecoderState,
    Encoded,
    Encoder,
    Hypothesis,
    Seq2Seq,
    beam_search,
    exact_match,
    extend,
    forbid_bos,
    greedy_search,
    reverse_each,
    select,
    small_translator,
    token_accuracy,
)
from lmcourse.training import evaluating, initialised, train

SOURCES = [[0, 6, 1], [0, 2, 5, 3, 4, 2, 1], [0, 1], [0, 3, 3, 6, 1]]
TARGETS = [[0, 4, 2, 2, 1], [0, 1], [0, 3, 2, 4, 4, 2, 3, 1], [0, 2, 1]]
PAIRS = list(zip(SOURCES, TARGETS, strict=True))
FULL_WIDTH = (
    31  # 1 + 2 + 4 + 8 that ended and 16 open ones, of at most 4 of the tokens 1, 2, 3
)


def tiny(seed: int = 0, n_target: int = 5, bidirectional: bool = True) -> Seq2Seq:
    """A random translator in float64. Every size is different, and no choice is easy."""
    torch.manual_seed(seed)
    layers = (
        Bidirectional(GRU(3, 4), GRU(3, 4)) if bidirectional else LSTM(3, 9, n_layers=2)
    )
    model = Seq2Seq(
        Encoder(7, layers),
        Decoder(n_target, d_embedding=5, d_hidden=6, d_memory=layers.d_output),
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.5)
    return model


@torch.no_grad()
def log_probs(model: Seq2Seq, source: list[int], sentences) -> list[float]:
    """log P of each by teacher forcing; the last token need not be `</s>`."""
    parts = model.predicted_log_probs([(source, list(ids)) for ids in sentences])
    lengths = [len(ids) - 1 for ids in sentences]
    return [part.sum().item() for part in parts.split(lengths)]


def close(ours, theirs, atol=1e-12):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


# --------------------------------------------------------------------------------- both ways


def test_reverse_each_by_hand():
    inputs = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]])[:, :, None]
    both = torch.cat([inputs, inputs * 10], dim=2).double()
    turned = reverse_each(both, torch.tensor([4, 2, 1]))
    assert turned[:, :, 0].tolist() == [[4, 3, 2, 1], [6, 5, 0, 0], [7, 0, 0, 0]]
    assert torch.equal(turned[:, :, 1], turned[:, :, 0] * 10)
    assert torch.equal(reverse_each(turned, torch.tensor([4, 2, 1])), both)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(RNN, nn.RNN), (GRU, nn.GRU), (LSTM, nn.LSTM)]
)
def test_bidirectional_equals_torch_on_packed_batches(ours, theirs):
    torch.manual_seed(0)
    lengths = torch.tensor([3, 7, 1, 5])
    reference = theirs(2, 3, bidirectional=True, batch_first=True).double()
    layers = Bidirectional(ours(2, 3), ours(2, 3)).double()
    tensors = reference.state_dict()
    for side, suffix in ((layers.forwards, ""), (layers.backwards, "_reverse")):
        names = side.to_torch_state_dict()
        side.load_torch_state_dict({name: tensors[name + suffix] for name in names})
    inputs = torch.randn(4, 7, 2, dtype=torch.float64, requires_grad=True)
    their_inputs = inputs.detach().clone().requires_grad_()

    outputs, [state] = layers(inputs, lengths=lengths)
    packed = pack_padded_sequence(
        their_inputs, lengths, batch_first=True, enforce_sorted=False
    )
    their_packed, their_state = reference(packed)
    their_outputs, _ = pad_packed_sequence(their_packed, batch_first=True)
    close(outputs, their_outputs)
    if not isinstance(their_state, tuple):
        their_state = (their_state,)
    # (2, batch, d_hidden) -> (batch, 2 * d_hidden)
    their_state = tuple(part.transpose(0, 1).flatten(1) for part in their_state)
    for part, their_part in zip(state, their_state, strict=True):
        close(part, their_part)

    factors = torch.randn(4, 7, 6, dtype=torch.float64)
    for results, parts in ((outputs, state), (their_outputs, their_state)):
        loss = (results * factors).sum() + sum(part.square().sum() for part in parts)
        loss.backward()
    close(inputs.grad, their_inputs.grad)
    assert inputs.grad[0, :3].abs().min() > 0 and not inputs.grad[0, 3:].any()
    for side, suffix in ((layers.forwards, ""), (layers.backwards, "_reverse")):
        for name, parameter in side.cells[0].named_parameters():
            close(parameter.grad, getattr(reference, f"{name}_l0{suffix}").grad)


def test_bidirectional_layers_are_two_stacks_that_meet_at_the_end():
    torch.manual_seed(1)
    layers = Bidirectional(GRU(2, 3, n_layers=2), GRU(2, 3, n_layers=2)).double()
    inputs, lengths = torch.randn(3, 6, 2, dtype=torch.float64), [4, 6, 1]
    outputs, states = layers(inputs, lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = inputs[row : row + 1, :length]
        left, left_states = layers.forwards(alone)
        right, right_states = layers.backwards(alone.flip(1))
        close(outputs[row, :length], torch.cat([left, right.flip(1)], dim=2)[0])
        assert not outputs[row, length:].any()
        for (state,), (forth,), (back,) in zip(
            states, left_states, right_states, strict=True
        ):
            close(state[row], torch.cat([forth, back], dim=1)[0])


def test_bidirectional_names_sizes_that_differ():
    sentence = (
        r"\(d_input, d_hidden.*\(3, 5.*forwards and .*\(3, 4.*backwards; both must"
    )
    with pytest.raises(ValueError, match=sentence):
        Bidirectional(GRU(3, 5), GRU(3, 4))


# ------------------------------------------------------------------------------------ encoder


@pytest.mark.parametrize("bidirectional", [True, False])
def test_encoding_alone_and_in_a_batch_is_the_same(bidirectional):
    model = tiny(bidirectional=bidirectional)
    encoded = model.encoder.encode(SOURCES)
    assert encoded.memory.shape == (4, 7, model.encoder.d_memory)
    assert encoded.keys is encoded.memory
    for row, source in enumerate(SOURCES):
        alone = model.encoder.encode([source])
        close(encoded.memory[row, : len(source)], alone.memory[0])
        close(encoded.context[row], alone.context[0])
        assert not encoded.memory[row, len(source) :].any()
        places = range(7)
        assert encoded.mask[row].tolist() == [place < len(source) for place in places]


@pytest.mark.parametrize("bidirectional", [True, False])
def test_what_stands_in_the_padding_is_not_read(bidirectional):
    encoder = tiny(bidirectional=bidirectional).encoder
    token_ids, mask = pad_sentences(SOURCES)
    filled = token_ids.where(mask, 5)
    assert not torch.equal(filled, token_ids)
    for part, other in zip(
        encoder(token_ids, mask), encoder(filled, mask), strict=True
    ):
        assert torch.equal(part, other)


def test_the_context_is_what_each_reader_knows_when_it_is_through():
    one_way, both = (tiny(bidirectional=way).encoder for way in (False, True))
    ends = torch.tensor([len(source) - 1 for source in SOURCES])
    encoded = one_way.encode(SOURCES)
    assert torch.equal(encoded.context, encoded.memory[torch.arange(4), ends])
    encoded = both.encode(SOURCES)
    forth, back = encoded.memory.chunk(2, dim=2)
    assert torch.equal(
        encoded.context, torch.cat([forth[torch.arange(4), ends], back[:, 0]], dim=1)
    )


# ------------------------------------------------------------------------------------ decoder


def affine(weight, bias, vector):
    """weight @ vector + bias, number by number."""
    return [
        sum(w * x for w, x in zip(row, vector, strict=True)) + b
        for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
    ]


def sigmoid(number):
    return 1 / (1 + math.exp(-number))


def step_by_hand(decoder, token_id, hidden, context):
    """The logits and the next hidden state of one sentence, number by number."""
    cell, size = decoder.cell, len(hidden)
    inputs = decoder.embedding.weight[token_id].tolist() + context
    of_input = affine(cell.weight_ih, cell.bias_ih, inputs)
    of_hidden = affine(cell.weight_hh, cell.bias_hh, hidden)
    after = []
    for i in range(size):
        reset = sigmoid(of_input[i] + of_hidden[i])
        update = sigmoid(of_input[size + i] + of_hidden[size + i])
        candidate = math.tanh(of_input[2 * size + i] + reset * of_hidden[2 * size + i])
        after.append((1 - update) * candidate + update * hidden[i])
    output = decoder.output
    return affine(output.weight, output.bias, after + context), after


@torch.no_grad()
def test_the_decoder_equals_plain_loops():
    model = tiny()
    logits = model(SOURCES, torch.tensor([[0, 3, 1], [0, 4, 2], [0, 2, 2], [0, 1, 3]]))
    assert logits.shape == (4, 3, 5)
    for row, token_ids in enumerate([[0, 3, 1], [0, 4, 2], [0, 2, 2], [0, 1, 3]]):
        context = model.encoder.encode([SOURCES[row]]).context[0].tolist()
        bridge = model.decoder.bridge
        hidden = [*map(math.tanh, affine(bridge.weight, bridge.bias, context))]
        for t, token_id in enumerate(token_ids):
            scores, hidden = step_by_hand(model.decoder, token_id, hidden, context)
            close(logits[row, t], torch.tensor(scores, dtype=torch.float64))


@torch.no_grad()
def test_what_comes_later_in_the_target_cannot_change_a_score():
    model = tiny()
    target_ids = torch.tensor([[0, 3, 2, 4, 2, 3]] * len(SOURCES))
    logits = model(SOURCES, target_ids)
    for place in range(6):
        changed = target_ids.clone()
        changed[:, place] = 1
        others = model(SOURCES, changed)
        assert torch.equal(others[:, :place], logits[:, :place])
        differences = (others - logits)[:, place:].abs().amax(dim=2)
        assert differences.min() > 1e-6


@torch.no_grad()
def test_the_source_matters_for_every_score():
    model = tiny()
    first, second = (
        model([source], torch.tensor([[0, 3, 2]])) for source in SOURCES[:2]
    )
    assert (first - second).abs().amax(dim=2).min() > 1e-3


# ---------------------------------------------------------------------------------- the model


@pytest.mark.parametrize("bidirectional", [True, False])
def test_padding_changes_no_log_prob_and_no_gradient(bidirectional):
    model = tiny(bidirectional=bidirectional)
    together = model.predicted_log_probs(PAIRS)
    alone = [model.predicted_log_probs([pair]) for pair in PAIRS]
    close(together, torch.cat(alone))
    assert len(together) == sum(len(target) - 1 for target in TARGETS)
    factors = torch.linspace(1, 2, len(together), dtype=torch.float64)
    parameters = [*model.parameters()]
    gradients = torch.autograd.grad((together * factors).sum(), parameters)
    expected = torch.autograd.grad((torch.cat(alone) * factors).sum(), parameters)
    for gradient, theirs in zip(gradients, expected, strict=True):
        assert gradient.any()
        close(gradient, theirs, atol=1e-10)


@torch.no_grad()
def test_log_probs_are_those_of_the_tokens_that_occur():
    model = tiny()
    for source, target in PAIRS:
        state, expected = model.start([source]), []
        for before, after in itertools.pairwise(target):
            logits, state = model.decoder.step(torch.tensor([before]), state)
            probs = logits[0].exp() / logits[0].exp().sum()
            expected.append(probs[after].log())
        close(model.predicted_log_probs([(source, target)]), torch.stack(expected))


def test_the_chain_rule_gives_probabilities_of_whole_translations():
    """Those that end within 3 tokens, and the beginnings of 3 that did not end, make 1."""
    model, source = tiny(n_target=4), SOURCES[1]
    open_tokens = (0, 2, 3)
    whole = [
        (*words, 1)
        for n in range(3)
        for words in itertools.product(open_tokens, repeat=n)
    ]
    whole += itertools.product(open_tokens, repeat=3)
    total = sum(map(math.exp, log_probs(model, source, [(0, *ids) for ids in whole])))
    assert total == pytest.approx(1, abs=1e-12)


def test_the_loss_starts_near_a_blind_guess_and_one_batch_can_be_memorised():
    model = initialised(lambda: small_translator(7, 5, 24), 0, "memorise")
    history = train(model, PAIRS, steps=40, lr=0.03)
    assert history.losses[0] == pytest.approx(math.log2(5), abs=0.5)
    assert history.losses[-1] < 0.05
    assert greedy_search(model, SOURCES, 10) == TARGETS
    for source, target in PAIRS:
        assert beam_search(model, source, 3, 10)[0].token_ids == tuple(target)


# ------------------------------------------------------------------------------------- greedy


@torch.no_grad()
def test_greedy_search_takes_the_best_word_at_each_step():
    for seed in range(10):
        model = tiny(seed)
        together = greedy_search(model, SOURCES, max_new_tokens=6)
        for source, written in zip(SOURCES, together, strict=True):
            assert greedy_search(model, [source], max_new_tokens=6) == [written]
            assert written[0] == 0 and len(written) <= 7
            assert len(written) == 7 or written[-1] == 1
            assert 1 not in written[:-1]
            logits = model([source], torch.tensor([written[:-1]]))[0]
            logits[:, 0] = -math.inf
            assert logits.argmax(dim=1).tolist() == written[1:]


def test_greedy_search_ends_where_each_sentence_ends():
    lengths = {
        len(written)
        for seed in range(10)
        for written in greedy_search(tiny(seed), SOURCES, max_new_tokens=6)
    }
    assert {2, 3, 7} <= lengths  # at once, after a word, and never


def test_no_search_writes_the_beginning_mark():
    model = tiny()
    with torch.no_grad():
        model.decoder.output.bias[0] = 50
    assert all(0 not in written[1:] for written in greedy_search(model, SOURCES, 6))
    for hypothesis in beam_search(model, SOURCES[1], 5, 6):
        assert 0 not in hypothesis.token_ids[1:]


def test_forbid_bos_leaves_its_argument_alone():
    logits = torch.tensor([[3.0, 2.0], [1.0, 0.0]])
    assert forbid_bos(logits).tolist() == [[-math.inf, 2], [-math.inf, 0]]
    assert logits.tolist() == [[3, 2], [1, 0]]


def test_a_search_leaves_the_mode_of_the_model_as_it_was():
    model = tiny()
    for training in (True, False):
        model.train(training)
        greedy_search(model, SOURCES, 3)
        beam_search(model, SOURCES[0], 2, 3)
        assert model.training == training and model.decoder.training == training
    model.train()
    with pytest.raises(KeyError), evaluating(model):
        assert not model.training
        raise KeyError
    assert model.training


# --------------------------------------------------------------------------------------- beam


def test_a_beam_of_width_1_is_greedy_search():
    for seed, source in itertools.product(range(30), SOURCES[:3]):
        model = tiny(seed, bidirectional=seed % 2 == 0)
        [hypothesis] = beam_search(model, source, width=1, max_new_tokens=6)
        [written] = greedy_search(model, [source], max_new_tokens=6)
        assert list(hypothesis.token_ids) == written


def enumerated(model: Seq2Seq, source: list[int]) -> list[Hypothesis]:
    """All translations of 1 to 4 tokens in the order that beam search promises."""
    whole = [
        (0, *words, 1)
        for n in range(4)
        for words in itertools.product((2, 3), repeat=n)
    ]
    whole += [(0, *words) for words in itertools.product((2, 3), repeat=4)]
    hypotheses = [*map(Hypothesis, whole, log_probs(model, source, whole))]
    return sorted(hypotheses, key=lambda one: (not one.finished, -one.log_prob))


def same(ours: list[Hypothesis], theirs: list[Hypothesis]) -> bool:
    return [one.token_ids for one in ours] == [one.token_ids for one in theirs] and all(
        abs(one.log_prob - other.log_prob) < 1e-12
        for one, other in zip(ours, theirs, strict=True)
    )


def test_a_full_beam_finds_the_best_of_all_translations():
    lengths = set()
    for seed, source in itertools.product(range(15), SOURCES[:2]):
        model = tiny(seed, n_target=4)
        with torch.no_grad():
            model.decoder.output.weight.mul_(4)  # surer, so that some best are long
        found = beam_search(model, source, FULL_WIDTH, max_new_tokens=4)
        assert same(found[:1], enumerated(model, source)[:1])
        lengths.add(len(found[0].token_ids))
    assert lengths == {2, 3, 4, 5}


def test_a_full_beam_that_cannot_stop_early_finds_all_in_the_right_order():
    for seed in range(5):
        model = tiny(seed, n_target=4)
        with torch.no_grad():
            model.decoder.output.bias[1] -= 20
        found = beam_search(model, SOURCES[1], FULL_WIDTH, max_new_tokens=4)
        assert len(found) == FULL_WIDTH
        assert same(found, enumerated(model, SOURCES[1]))


def test_log_probs_of_a_beam_are_those_of_teacher_forcing():
    for seed, width in itertools.product(range(5), (1, 2, 3, 7)):
        model = tiny(seed)
        found = beam_search(model, SOURCES[3], width, max_new_tokens=12)
        assert len(found) <= width
        assert len({one.token_ids for one in found}) == len(found)
        expected = log_probs(model, SOURCES[3], [one.token_ids for one in found])
        assert [one.log_prob for one in found] == pytest.approx(expected, abs=1e-11)
        ranks = [(not one.finished, -one.log_prob) for one in found]
        assert ranks == sorted(ranks)


def test_a_full_beam_is_never_worse_than_a_narrow_one():
    worse = 0
    for seed, source in itertools.product(range(15), SOURCES[:2]):
        model = tiny(seed, n_target=4)
        full = beam_search(model, source, FULL_WIDTH, max_new_tokens=4)[0]
        for width in (1, 2, 3, 5, 8):
            narrow = beam_search(model, source, width, max_new_tokens=4)[0]
            if narrow.finished:
                assert narrow.log_prob <= full.log_prob + 1e-12
                worse += narrow.log_prob < full.log_prob - 1e-6
    assert worse > 0


class Scripted(Decoder):
    """Follows a table: after each beginning the probability of each token."""

    def __init__(self, table: dict[tuple[int, ...], list[float]]):
        super().__init__(vocab_size=4, d_embedding=1, d_hidden=1, d_memory=1)
        self.table, self.n_steps = table, 0

    def start(self, encoded: Encoded) -> DecoderState:
        return DecoderState(torch.zeros(len(encoded.context), 0), encoded)

    def step(self, token_ids, state):
        self.n_steps += 1
        read = torch.cat([state.hidden, token_ids[:, None]], dim=1)
        rows = [self.table[tuple(row)] for row in read[:, 1:].int().tolist()]
        return torch.tensor(rows).log(), DecoderState(read, state.encoded)


def search_by(table, width, max_new_tokens):
    """What a beam finds: token ids and probabilities. Also the number of steps it took."""
    decoder = Scripted(table)
    model = Seq2Seq(Encoder(2, GRU(1, 1)), decoder)
    found = beam_search(model, [0, 1], width, max_new_tokens)
    probs = [round(math.exp(one.log_prob), 6) for one in found]
    return [one.token_ids for one in found], probs, decoder.n_steps


STRAW_FIRE = {  # 2 3 3 leads until it must end
    (): [0, 0.3, 0.7, 0],
    (2,): [0, 0.2, 0, 0.8],
    (2, 3): [0, 0.1, 0, 0.9],
    (2, 3, 3): [0, 0.5, 0.5, 0],
}


def test_a_beam_goes_on_while_an_open_beginning_leads_and_remembers_what_ended():
    found = search_by(STRAW_FIRE, width=2, max_new_tokens=3)
    assert found == ([(0, 1), (0, 2, 3, 3)], [0.3, 0.504], 3)
    # Its end costs half of it: 0.252 is less than the 0.3 of the short one.
    found = search_by(STRAW_FIRE, width=2, max_new_tokens=9)
    assert found[0][0] == (0, 1) and found[1] == [0.3, 0.252] and found[2] == 4
    # A cheap end, and the long one wins.
    cheap = STRAW_FIRE | {(2, 3, 3): [0, 0.9, 0.1, 0]}
    found = search_by(cheap, width=2, max_new_tokens=9)
    assert found == ([(0, 2, 3, 3, 1), (0, 1)], [0.4536, 0.3], 4)


def test_a_beam_stops_as_soon_as_nothing_open_can_overtake():
    table = {(): [0, 0.6, 0.3, 0.1]}
    found = search_by(table, width=3, max_new_tokens=9)
    assert found == ([(0, 1), (0, 2), (0, 3)], [0.6, 0.3, 0.1], 1)


def test_a_second_beginning_leaves_the_garden_path():
    table = {
        (): [0, 0, 0.6, 0.4],
        (2,): [0, 0.4, 0.3, 0.3],  # 0.24
        (3,): [0, 0.9, 0.1, 0],  # 0.36
    }
    assert search_by(table, width=1, max_new_tokens=2)[:2] == ([(0, 2, 1)], [0.24])
    found = search_by(table, width=2, max_new_tokens=2)
    assert found[:2] == ([(0, 3, 1), (0, 2, 1)], [0.36, 0.24])


def test_a_beam_does_not_go_on_with_the_impossible():
    table = {(): [0, 0, 1, 0], (2,): [0, 1, 0, 0]}
    assert search_by(table, width=5, max_new_tokens=9) == ([(0, 2, 1)], [1.0], 2)


def test_a_hypothesis_is_finished_by_its_last_token():
    assert Hypothesis((0, 2, 1), -1.0).finished
    assert not Hypothesis((0, 1, 2), -1.0).finished
    assert not Hypothesis((0,), 0.0).finished


def test_extend_by_hand():
    beams = [Hypothesis((0, 2), -1.0), Hypothesis((0, 3), -0.5)]
    log_probs = torch.tensor([[-9.0, -0.25, -math.inf, -3.0], [-9.0, -2.0, -1.0, -8.0]])
    expected = [
        (Hypothesis((0, 2, 1), -1.25), 0),
        (Hypothesis((0, 3, 2), -1.5), 1),
        (Hypothesis((0, 3, 1), -2.5), 1),
        (Hypothesis((0, 2, 3), -4.0), 0),
    ]
    for width in range(1, 5):
        longer, rows = extend(beams, log_probs, width)
        assert list(zip(longer, rows, strict=True)) == expected[:width]
    longer, _ = extend(beams, log_probs, 100)
    assert len(longer) == 7 and (0, 2, 2) not in [one.token_ids for one in longer]


def test_extend_keeps_every_digit():
    third = torch.full((1, 2), -1 / 3, dtype=torch.float64)
    longer, _ = extend([Hypothesis((0,), -20.1)], third, width=1)
    assert longer[0].log_prob == -20.1 - 1 / 3


# ------------------------------------------------------------------------------------- select


def test_select_takes_rows_of_everything_and_keeps_the_kinds():
    model = tiny()
    state = model.start(SOURCES)
    rows = torch.tensor([3, 0, 3, 3, 1])
    chosen = select(state, rows)
    assert isinstance(chosen, DecoderState) and isinstance(chosen.encoded, Encoded)
    assert torch.equal(chosen.hidden, state.hidden[rows])
    for part, whole in zip(chosen.encoded, state.encoded, strict=True):
        assert torch.equal(part, whole[rows])
    pair = select((torch.arange(4), (torch.arange(4) * 10,)), rows)
    assert pair[0].tolist() == [3, 0, 3, 3, 1] and pair[1][0].tolist()[:2] == [30, 0]


@torch.no_grad()
def test_chosen_rows_go_on_as_the_same_sources_would():
    model = tiny()
    rows = torch.tensor([3, 0, 3, 3, 1])
    read = torch.tensor([2, 3, 4, 2, 1])
    logits, _ = model.decoder.step(read, select(model.start(SOURCES), rows))
    again = model.start([SOURCES[row] for row in rows])
    close(logits, model.decoder.step(read, again)[0])


# ------------------------------------------------------------------------------------ quality


def test_exact_match_by_hand():
    gold = [[0, 5, 1], [0, 6, 7, 1], [0, 1], [0, 4, 4, 1]]
    written = [[0, 5, 1], [0, 6, 1], [0, 1], [0, 4, 4, 4, 1]]
    assert exact_match(written, gold) == 0.5
    assert exact_match(gold, gold) == 1
    assert exact_match([(0, 5, 1)], [[0, 5, 1]]) == 1  # tuples, as beams have them
    assert exact_match([[0, 5]], [[0, 5, 1]]) == 0  # not ended


def test_token_accuracy_by_hand():
    gold = [[0, 5, 6, 7, 1], [0, 8, 1]]
    assert token_accuracy(gold, gold) == 1
    assert token_accuracy([[0, 5, 9, 7, 1], [0, 1]], gold) == 3 / 6  # 5, 7 and </s>
    assert token_accuracy([[0, 5, 6], [0, 8, 8, 1]], gold) == 3 / 6  # 5, 6 and 8
    assert (
        token_accuracy([[0], [0, 9, 9]], gold) == 0
    )  # <s> is given, and counts nothing


@pytest.mark.parametrize("measure", [exact_match, token_accuracy])
def test_every_target_needs_its_translation(measure):
    with pytest.raises(ValueError, match="shorter|longer"):
        measure([[0, 1]], [[0, 1], [0, 2, 1]])


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (
            lambda model: greedy_search(model, SOURCES, 0),
            "max_new_tokens=0; at least 1 must be allowed",
        ),
        (
            lambda model: beam_search(model, SOURCES[0], 2, 0),
            "max_new_tokens=0; at least 1 must be allowed",
        ),
        (
            lambda model: beam_search(model, SOURCES[0], 0, 2),
            "width=0; at least 1 beginning must be kept",
        ),
        (
            lambda model: greedy_search(model, [], 2),
            "0 sentences; at least 1 is needed",
        ),
        (
            lambda model: greedy_search(model, [[0, 1], [2, 1]], 2),
            "sentence 1 begins with 2 and ends with 1; it must run from 0 (<s>) to 1 (</s>)",
        ),
        (
            lambda model: beam_search(model, [0, 7, 1], 2, 2),
            "sentence 0 has ids 7 .. 7 inside; between <s> and </s> they must be 2 .. 6 "
            "(vocab_size=7)",
        ),
        (
            lambda model: model.encoder.encode([[0, 7, 1]]),
            "token id 7 is outside 0 .. 6 (vocab_size=7)",
        ),
        (
            lambda model: model([[0, 1]], torch.tensor([[0, 5]])),
            "token id 5 is outside 0 .. 4 (vocab_size=5)",
        ),
        (
            lambda model: model.encoder.encode([[0, 1], []]),
            "lengths=[2, 0] for 2 sequences of 2 inputs; give one length from 1 to 2 for each "
            "sequence",
        ),
    ],
)
def test_errors(use, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        use(tiny())
