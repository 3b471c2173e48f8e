"""Sequence to sequence: one network reads a sentence, another writes its translation.

Adds to `rnn` a second language to write in. The encoder reads the source into one vector; the
decoder is a language model of the target that starts from this vector (Sutskever et al., 2014,
*Sequence to Sequence Learning with Neural Networks*) and sees it at every step (Cho et al., 2014,
*Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation*).

A pair is `(source, target)`: two lists of token ids, each `[0, ..., 1]`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcourse.language_models import check_sentences, check_token_ids, pad_sentences
from lmcourse.rnn import GRU, GRUCell, RecurrentLayers, State
from lmcourse.training import device_of, evaluating

BOS_ID, EOS_ID = 0, 1
Pair = tuple[list[int], list[int]]


# ------------------------------------------------------------------------------------- encoder


def reverse_each(
    inputs: Float[Tensor, "batch time features"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch time features"]:
    """Turn every sequence round; the padding stays behind.

    >>> reverse_each(torch.tensor([[[1.0], [2.0], [0.0]]]), torch.tensor([2])).flatten()
    tensor([2., 1., 0.])
    """
    place = torch.arange(inputs.shape[1], device=lengths.device)
    mirrored = lengths[:, None] - 1 - place
    source = torch.where(mirrored >= 0, mirrored, place)
    return inputs.gather(1, source[:, :, None].expand_as(inputs))


class Bidirectional(nn.Module):
    """Two layers read the same sequence, one from each end (Schuster & Paliwal, 1997).

    Each side reads by itself. With one layer a side this is torch's `bidirectional=True`; torch's
    upper layers read both sides of the one below.

    Args:
        forwards: reads from left to right.
        backwards: reads from right to left; of the same sizes.

    Raises:
        ValueError: the sizes differ.

    >>> layers = Bidirectional(GRU(3, 5), GRU(3, 5))
    >>> outputs, states = layers(torch.zeros(2, 7, 3), lengths=torch.tensor([7, 4]))
    >>> outputs.shape
    torch.Size([2, 7, 10])
    """

    def __init__(self, forwards: RecurrentLayers, backwards: RecurrentLayers):
        super().__init__()
        sizes = [(side.d_input, side.d_hidden) for side in (forwards, backwards)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"(d_input, d_hidden) is {sizes[0]} forwards and {sizes[1]} backwards; "
                "both must be the same"
            )
        self.forwards, self.backwards = forwards, backwards
        self.d_input, self.d_output = forwards.d_input, 2 * forwards.d_hidden

    def forward(
        self,
        inputs: Float[Tensor, "batch time d_input"],
        *,
        lengths: Int[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch time d_output"], list[State]]:
        """Outputs of both directions side by side, and the last state of each layer, both ends.

        An output joins what stands before its place with what stands after it.
        """
        left, left_states = self.forwards(inputs, lengths=lengths)
        right, right_states = self.backwards(
            reverse_each(inputs, lengths), lengths=lengths
        )
        outputs = torch.cat([left, reverse_each(right, lengths)], dim=2)
        states = [
            tuple(torch.cat(parts, dim=1) for parts in zip(*both, strict=True))
            for both in zip(left_states, right_states, strict=True)
        ]
        return outputs, states


class Encoded(NamedTuple):
    """What the encoder knows of a batch of source sentences.

    Attributes:
        memory: an output for every source token, (batch, source, d_memory).
        mask: True for a real token, (batch, source).
        context: one vector for the whole sentence, (batch, d_memory): the last hidden state; of
            two directions, the last of both, side by side.
        keys: what a decoder compares itself with, (batch, source, d_key); the memory itself,
            until the decoder prepares something else.
    """

    memory: Tensor
    mask: Tensor
    context: Tensor
    keys: Tensor


class Encoder(nn.Module):
    """Reads a source sentence: embedding and recurrent layers.

    Args:
        vocab_size: the number of source tokens.
        layers: one-way (`GRU`, ...) or `Bidirectional`.

    >>> encoder = Encoder(vocab_size=9, layers=GRU(d_input=4, d_hidden=5))
    >>> encoder.encode([[0, 5, 1], [0, 1]]).context.shape
    torch.Size([2, 5])
    """

    def __init__(self, vocab_size: int, layers: RecurrentLayers | Bidirectional):
        super().__init__()
        self.vocab_size, self.d_memory = vocab_size, layers.d_output
        self.embedding = nn.Embedding(vocab_size, layers.d_input)
        nn.init.normal_(self.embedding.weight, std=layers.d_input**-0.5)
        self.layers = layers

    def forward(
        self, token_ids: Int[Tensor, "batch source"], mask: Bool[Tensor, "batch source"]
    ) -> Encoded:
        """Read sentences filled up on the right; the mask is True for a real token.

        Raises:
            ValueError: an id is outside the vocabulary.
        """
        check_token_ids(token_ids, self.vocab_size)
        memory, states = self.layers(self.embedding(token_ids), lengths=mask.sum(dim=1))
        context = states[-1][0]
        return Encoded(memory, mask, context, keys=memory)

    def encode(self, sources: Sequence[Sequence[int]]) -> Encoded:
        """Read sentences, lists of token ids."""
        token_ids, mask = pad_sentences(sources)
        device = device_of(self)
        return self(token_ids.to(device), mask.to(device))


# ------------------------------------------------------------------------------------- decoder


class DecoderState(NamedTuple):
    """Where the decoder stands: its hidden state (batch, d_hidden), and the source it renders."""

    hidden: Tensor
    encoded: Encoded


class Decoder(nn.Module):
    """Writes the target word by word. At every step it sees the same context vector.

    Args:
        vocab_size: the number of target tokens.
        d_embedding: the size of an embedded token.
        d_hidden: the size of the hidden state.
        d_memory: the size of the context vector.
    """

    def __init__(self, vocab_size: int, d_embedding: int, d_hidden: int, d_memory: int):
        super().__init__()
        self.vocab_size = vocab_size
        self.embedding = nn.Embedding(vocab_size, d_embedding)
        nn.init.normal_(self.embedding.weight, std=d_embedding**-0.5)
        self.bridge = nn.Linear(d_memory, d_hidden)
        self.cell = GRUCell(d_embedding + d_memory, d_hidden)
        self.output = nn.Linear(d_hidden + d_memory, vocab_size)

    def start(self, encoded: Encoded) -> DecoderState:
        """Before the first word the hidden state is made from the context vector."""
        return DecoderState(self.bridge(encoded.context).tanh(), encoded)

    def look(self, state: DecoderState) -> Float[Tensor, "batch d_memory"]:
        """What the decoder sees of the source at this step: here, always the same."""
        return state.encoded.context

    def step(
        self, token_ids: Int[Tensor, " batch"], state: DecoderState
    ) -> tuple[Float[Tensor, "batch vocab_size"], DecoderState]:
        """Read the word just written; score the next one."""
        context = self.look(state)
        inputs = torch.cat([self.embedding(token_ids), context], dim=1)
        (hidden,) = self.cell(inputs, (state.hidden,))
        logits = self.output(torch.cat([hidden, context], dim=1))
        return logits, DecoderState(hidden, state.encoded)


class Seq2Seq(nn.Module):
    """An encoder and a decoder: P(target | source), word by word.

    >>> model = small_translator(source_vocab_size=9, target_vocab_size=7, d_hidden=8)
    >>> model.predicted_log_probs([([0, 5, 1], [0, 3, 4, 1])]).shape  # of 3, 4 and </s>
    torch.Size([3])
    """

    def __init__(self, encoder: Encoder, decoder: Decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(
        self, sources: Sequence[Sequence[int]], target_ids: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target vocab_size"]:
        """Score what follows each target token, given the true tokens before it.

        This is **teacher forcing** (Williams & Zipser, 1989): the decoder reads what it should
        have written, not what it has written.
        """
        check_token_ids(target_ids, self.decoder.vocab_size)
        state = self.start(sources)
        logits = []
        for token_ids in target_ids.unbind(dim=1):
            scores, state = self.decoder.step(token_ids, state)
            logits.append(scores)
        return torch.stack(logits, dim=1)

    def start(self, sources: Sequence[Sequence[int]]) -> DecoderState:
        """The state before the first target word."""
        return self.decoder.start(self.encoder.encode(sources))

    def predicted_log_probs(self, pairs: Sequence[Pair]) -> Float[Tensor, " predicted"]:
        """log P of every target token but the first, given the source, in nats."""
        sources, targets = zip(*pairs, strict=True)
        token_ids, mask = (part.to(device_of(self)) for part in pad_sentences(targets))
        log_probs = self(sources, token_ids[:, :-1]).log_softmax(dim=-1)
        return log_probs.gather(-1, token_ids[:, 1:, None]).squeeze(-1)[mask[:, 1:]]


def small_translator(
    source_vocab_size: int, target_vocab_size: int, d_hidden: int
) -> Seq2Seq:
    """The translator of chapter 4: two half-size GRUs read, one from each end; a GRU writes.

    >>> small_translator(9, 7, d_hidden=8).encoder.d_memory
    8
    """
    half = d_hidden // 2
    layers = Bidirectional(GRU(d_hidden, half), GRU(d_hidden, half))
    return Seq2Seq(
        Encoder(source_vocab_size, layers),
        Decoder(target_vocab_size, d_hidden, d_hidden, layers.d_output),
    )


# -------------------------------------------------------------------------------------- search


def select(state: Tensor | tuple, rows: Int[Tensor, " rows"]) -> Tensor | tuple:
    """Take these rows of every tensor of a state; a row may be taken several times.

    >>> select((torch.tensor([[1], [2]]),), torch.tensor([1, 1]))[0].tolist()
    [[2], [2]]
    """
    if isinstance(state, Tensor):
        return state[rows]
    parts = [select(part, rows) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)


@torch.no_grad()
def greedy_search(
    model: Seq2Seq, sources: Sequence[Sequence[int]], max_new_tokens: int
) -> list[list[int]]:
    """Translate a batch: at each step the most probable word, until `</s>`.

    Args:
        model: the translator.
        sources: lists of token ids.
        max_new_tokens: the most tokens to write, 1 or more.

    Returns:
        For each source the token ids from `<s>` on, `</s>` included where it came.

    Raises:
        ValueError: there is no source, or max_new_tokens is below 1.
    """
    check_search(model, sources, max_new_tokens)
    with evaluating(model):
        state = model.start(sources)
        written = [[BOS_ID] for _ in sources]
        token_ids = torch.full((len(sources),), BOS_ID, device=device_of(model))
        for _ in range(max_new_tokens):
            logits, state = model.decoder.step(token_ids, state)
            token_ids = forbid_bos(logits).argmax(dim=-1)
            for sentence, token_id in zip(written, token_ids.tolist(), strict=True):
                if sentence[-1] != EOS_ID:
                    sentence.append(token_id)
            if all(sentence[-1] == EOS_ID for sentence in written):
                break
    return written


@dataclass(frozen=True)
class Hypothesis:
    """A translation, finished or not, and its log probability in nats."""

    token_ids: tuple[int, ...]
    log_prob: float

    @property
    def finished(self) -> bool:
        """Whether it ends with `</s>`."""
        return self.token_ids[-1] == EOS_ID


@torch.no_grad()
def beam_search(
    model: Seq2Seq, source: Sequence[int], width: int, max_new_tokens: int
) -> list[Hypothesis]:
    """Translate one sentence, keeping the `width` most probable beginnings at every step.

    A beginning that has ended stays as it is, and competes with the longer ones. The search stops
    when none that is open can overtake the best that has ended: a longer one is never more
    probable.

    Args:
        model: the translator.
        source: token ids.
        width: how many beginnings are kept; 1 is greedy search.
        max_new_tokens: the most tokens to write, 1 or more.

    Returns:
        The hypotheses, `width` at most. Those that ended come first, then those that are still
        open, of each kind the most probable first.

    Raises:
        ValueError: width or max_new_tokens is below 1.
    """
    check_search(model, [source], max_new_tokens)
    if width < 1:
        raise ValueError(f"width={width}; at least 1 beginning must be kept")
    beams = [Hypothesis((BOS_ID,), 0.0)]
    with evaluating(model):
        state = model.start([source])
        for _ in range(max_new_tokens):
            open_beams = [beam for beam in beams if not beam.finished]
            last = torch.tensor([beam.token_ids[-1] for beam in open_beams])
            logits, state = model.decoder.step(last.to(device_of(model)), state)
            log_probs = forbid_bos(logits.cpu().double().log_softmax(dim=-1))
            longer, rows = extend(open_beams, log_probs, width)
            candidates = [(beam, None) for beam in beams if beam.finished]
            candidates += zip(longer, rows, strict=True)
            candidates.sort(key=lambda candidate: -candidate[0].log_prob)
            beams = [beam for beam, _ in candidates[:width]]
            kept = [row for beam, row in candidates[:width] if not beam.finished]
            if beams[0].finished:
                break
            state = select(state, torch.tensor(kept, device=device_of(model)))
    return sorted(beams, key=lambda beam: (not beam.finished, -beam.log_prob))


def extend(
    beams: Sequence[Hypothesis], log_probs: Float[Tensor, "beam vocab_size"], width: int
) -> tuple[list[Hypothesis], list[int]]:
    """The `width` most probable ways to make one of the beginnings one token longer.

    Returns:
        The longer beginnings, and for each the row of the one that it goes on from.

    >>> longer, rows = extend(
    ...     [Hypothesis((0, 4), -1.0), Hypothesis((0, 3), -2.0)],
    ...     torch.tensor([[-9.0, -1.0, -3.0], [-9.0, -8.0, -0.5]]), width=2)
    >>> [beam.token_ids for beam in longer], rows
    ([(0, 4, 1), (0, 3, 2)], [0, 1])
    """
    totals = log_probs + log_probs.new_tensor([[beam.log_prob] for beam in beams])
    best = totals.flatten().topk(min(width, totals.numel()))
    longer, rows = [], []
    for total, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        row, token_id = divmod(index, log_probs.shape[1])
        if total > -math.inf:
            longer.append(Hypothesis((*beams[row].token_ids, token_id), total))
            rows.append(row)
    return longer, rows


def forbid_bos(
    logits: Float[Tensor, "*batch vocab_size"],
) -> Float[Tensor, "*batch vocab_size"]:
    """The logits with `<s>` impossible: it never comes next.

    >>> forbid_bos(torch.tensor([2.0, 1.0]))
    tensor([-inf, 1.])
    """
    logits = logits.clone()
    logits[..., BOS_ID] = -torch.inf
    return logits


def check_search(
    model: Seq2Seq, sources: Sequence[Sequence[int]], max_new_tokens: int
) -> None:
    """Raise a ValueError where a search cannot begin (see `greedy_search`)."""
    check_sentences(sources, model.encoder.vocab_size)
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens={max_new_tokens}; at least 1 must be allowed")


# ------------------------------------------------------------------------------------- quality


def exact_match(
    written: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> float:
    """The share of translations that are the gold translation, word for word.

    >>> exact_match([[0, 5, 1], [0, 6, 1]], [[0, 5, 1], [0, 6, 7, 1]])
    0.5
    """
    pairs = zip(written, targets, strict=True)
    return sum(list(ours) == list(gold) for ours, gold in pairs) / len(targets)


def token_accuracy(
    written: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> float:
    """The share of target tokens, `</s>` among them, that stand in the right place.

    >>> token_accuracy([[0, 5, 6, 1]], [[0, 5, 7, 6, 1]])  # 5 is; 7, 6 and </s> are not
    0.25
    """
    right = sum(
        sum(a == b for a, b in zip(ours[1:], gold[1:], strict=False))
        for ours, gold in zip(written, targets, strict=True)
    )
    return right / sum(len(gold) - 1 for gold in targets)
