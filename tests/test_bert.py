"""BERT: against transformers, in both directions through folders, its masks, and that it learns."""

import dataclasses
import itertools
import json
import math
import pathlib
import re
import subprocess
import sys

import pytest
import torch
import transformers
from jaxtyping import TypeCheckError
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers.models import bert as theirs_of

from lmcourse import bert as module
from lmcourse import huggingface, training
from lmcourse.bert import (
    Bert,
    BertConfig,
    Example,
    MaskedLanguageModel,
    MaskedTraining,
    Masking,
    NextSentenceModel,
    PreTraining,
    PreTrainingModel,
    SequenceClassifier,
    fill_in_log_probs,
    log_probs_of,
    sentence_embeddings,
    to_tensors,
)
from lmcourse.language_models import pad_sentences
from lmcourse.multi_head_attention import recorded_weights
from lmcourse.tokenizers import WordPiece
from lmcourse.training import generator, initialised, mean_bits, take_step, train

BATCH, TIME, HEADS, D_HEAD, LAYERS = 6, 7, 3, 5, 4
D_MODEL, D_FF, VOCAB, CONTEXT, SEGMENTS, CLASSES = HEADS * D_HEAD, 20, 31, 11, 2, 3
LENGTHS = (7, 3, 5, 7, 2, 6)
SIZES = {
    "vocab_size": VOCAB,
    "d_model": D_MODEL,
    "n_heads": HEADS,
    "n_layers": LAYERS,
    "d_ff": D_FF,
    "context_length": CONTEXT,
    "n_segments": SEGMENTS,
}
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-10)]
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(ours, theirs, atol=1e-12):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


@torch.no_grad()
def moved(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every parameter away from where it begins: biases from 0, scales from 1."""
    stream = seeded(seed)
    for parameter in model.parameters():
        parameter += 0.3 * torch.randn(parameter.shape, generator=stream)
    return model


def a_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids (0 where nothing stands), mask and segments, (batch, time)."""
    mask = torch.arange(TIME) < torch.tensor(LENGTHS)[:, None]
    token_ids = torch.randint(5, VOCAB, (BATCH, TIME), generator=seeded(1))
    segment_ids = (torch.arange(TIME) >= torch.tensor(LENGTHS)[:, None] // 2).long()
    return token_ids * mask, mask, segment_ids * mask


TOKEN_IDS, MASK, SEGMENT_IDS = a_batch()
CHOSEN = (torch.rand(BATCH, TIME, generator=seeded(2)) < 0.4) & MASK
SIDES = torch.tensor([0, 1, 1, 0, 1, 0])  # whether the second text is another
LABELS = torch.tensor([2, 0, 1, 1, 0, 2])
INPUTS = {
    "input_ids": TOKEN_IDS,
    "attention_mask": MASK.long(),
    "token_type_ids": SEGMENT_IDS,
}


# --------------------------------------------------------------------------- beside transformers


@dataclasses.dataclass(frozen=True)
class Rivals:
    """A class of ours, theirs, and how each is asked for what it says, as a tuple."""

    ours: type
    theirs: type
    names: tuple[str, ...]  # of what theirs returns

    def our_outputs(self, model) -> tuple[torch.Tensor, ...]:
        outputs = model(TOKEN_IDS, MASK, SEGMENT_IDS)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def their_outputs(self, model) -> tuple[torch.Tensor, ...]:
        outputs = model(**INPUTS)
        return tuple(outputs[name] for name in self.names)


RIVALS = {
    "encoder": Rivals(Bert, transformers.BertModel, ("last_hidden_state",)),
    "masked": Rivals(MaskedLanguageModel, transformers.BertForMaskedLM, ("logits",)),
    "next": Rivals(
        NextSentenceModel, transformers.BertForNextSentencePrediction, ("logits",)
    ),
    "pre-training": Rivals(
        PreTrainingModel,
        transformers.BertForPreTraining,
        ("prediction_logits", "seq_relationship_logits"),
    ),
    "classes": Rivals(
        SequenceClassifier, transformers.BertForSequenceClassification, ("logits",)
    ),
}
ALL_RIVALS = pytest.mark.parametrize("rivals", RIVALS.values(), ids=RIVALS.keys())


def their_model(rivals: Rivals, attention: str = "eager", **changes):
    """A random model of theirs, in evaluation."""
    config = transformers.BertConfig(
        vocab_size=VOCAB,
        hidden_size=D_MODEL,
        num_attention_heads=HEADS,
        num_hidden_layers=LAYERS,
        intermediate_size=D_FF,
        max_position_embeddings=CONTEXT,
        type_vocab_size=SEGMENTS,
        num_labels=CLASSES if rivals.ours is SequenceClassifier else 2,
        attn_implementation=attention,
        **changes,
    )
    without = (
        {"add_pooling_layer": False} if rivals.theirs is transformers.BertModel else {}
    )
    torch.manual_seed(0)
    return moved(rivals.theirs(config, **without)).eval()


def our_model(kind: type, seed: int = 0, **changes):
    """A random model of ours, in evaluation."""
    torch.manual_seed(seed)
    model = Bert(BertConfig(**SIZES | changes))
    if kind is not Bert:
        model = kind(model, *([CLASSES] if kind is SequenceClassifier else []))
    return moved(model, seed).eval()


def both(rivals: Rivals, folder, dtype=torch.float64, **changes):
    """The same model twice: theirs is random, ours reads the folder that theirs writes."""
    theirs = their_model(rivals, **changes)
    theirs.save_pretrained(folder)
    return rivals.ours.from_pretrained(folder).to(dtype), theirs.to(dtype)


def summed(outputs) -> torch.Tensor:
    """A fixed random sum of all outputs; what stands at padding counts for nothing."""
    total = 0.0
    for index, part in enumerate(outputs):
        factors = torch.randn(
            part.shape, generator=seeded(9 + index), dtype=torch.float64
        )
        if part.ndim == 3:
            factors = factors * MASK[..., None]
        total = total + (part * factors.to(part.dtype)).sum()
    return total


def published_gradients(model) -> dict[str, torch.Tensor]:
    """Of our parameters, cut as they are published."""
    gradients = {}
    for name, parameter in model.named_parameters():
        names = model.published(name)
        cut = parameter.grad.chunk(len(names))
        gradients |= dict(zip(names, cut, strict=True))
    return gradients


def assert_equal_gradients(ours, theirs, tolerance):
    """Of every parameter, by its published name."""
    own = published_gradients(ours)
    expected = {name: part.grad for name, part in theirs.named_parameters()}
    assert own.keys() == expected.keys()
    for name, gradient in own.items():
        # A key's bias adds the same to all scores of a query: softmax takes it out again.
        assert name.endswith("key.bias") or gradient.any()
        scale = max(1.0, expected[name].abs().max().item())
        close(gradient, expected[name], tolerance * scale)


@PRECISIONS
@ALL_RIVALS
def test_it_equals_transformers_with_all_gradients(rivals, dtype, tolerance, tmp_path):
    ours, theirs = both(rivals, tmp_path, dtype)
    result, expected = rivals.our_outputs(ours), rivals.their_outputs(theirs)
    for own, other in zip(result, expected, strict=True):
        close(own, other, tolerance)
    summed(result).backward()
    summed(expected).backward()
    assert_equal_gradients(ours, theirs, tolerance)


@PRECISIONS
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("activation", ["gelu", "relu", "gelu_new"])
def test_activations_and_the_masked_loss_equal_transformers(
    activation, attention, dtype, tolerance, tmp_path
):
    rivals = RIVALS["masked"]
    ours, theirs = both(
        rivals, tmp_path, dtype, hidden_act=activation, attention=attention
    )
    outputs = theirs(**INPUTS, labels=TOKEN_IDS.masked_fill(~CHOSEN, -100))
    logits = ours(TOKEN_IDS, MASK, SEGMENT_IDS, CHOSEN)
    loss = -log_probs_of(logits, TOKEN_IDS[CHOSEN]).mean()
    close(loss, outputs.loss, tolerance)
    loss.backward()
    outputs.loss.backward()
    assert_equal_gradients(ours, theirs, tolerance)


@PRECISIONS
def test_the_losses_of_pairs_and_classes_equal_transformers(dtype, tolerance, tmp_path):
    ours, theirs = both(RIVALS["pre-training"], tmp_path / "pairs", dtype)
    expected = theirs(
        **INPUTS,
        labels=TOKEN_IDS.masked_fill(~CHOSEN, -100),
        next_sentence_label=SIDES,
    ).loss
    pieces, classes = ours(TOKEN_IDS, MASK, SEGMENT_IDS, CHOSEN)
    loss = -log_probs_of(pieces, TOKEN_IDS[CHOSEN]).mean()
    close(loss - log_probs_of(classes, SIDES).mean(), expected, tolerance)

    ours, theirs = both(RIVALS["classes"], tmp_path / "classes", dtype)
    expected = theirs(**INPUTS, labels=LABELS).loss
    examples = [
        Example(
            TOKEN_IDS[row, :length].tolist(),
            int(LABELS[row]),
            SEGMENT_IDS[row, :length].tolist(),
        )
        for row, length in enumerate(LENGTHS)
    ]
    close(-ours.predicted_log_probs(examples).mean(), expected, tolerance)


@PRECISIONS
def test_without_mask_and_segments_it_equals_transformers(dtype, tolerance, tmp_path):
    ours, theirs = both(RIVALS["encoder"], tmp_path, dtype)
    close(ours(TOKEN_IDS), theirs(TOKEN_IDS).last_hidden_state, tolerance)


@PRECISIONS
def test_the_pooled_vector_equals_transformers(dtype, tolerance, tmp_path):
    ours, theirs = both(RIVALS["classes"], tmp_path, dtype)
    pooled = ours.class_head.pool(ours.bert(TOKEN_IDS, MASK, SEGMENT_IDS))
    close(pooled, theirs.bert(**INPUTS).pooler_output, tolerance)


@PRECISIONS
@ALL_RIVALS
def test_transformers_reads_what_ours_writes(rivals, dtype, tolerance, tmp_path):
    ours = our_model(rivals.ours, activation="relu", eps=1e-3, dropout=0.25)
    ours.save_pretrained(tmp_path)
    theirs, report = rivals.theirs.from_pretrained(tmp_path, output_loading_info=True)
    pooler = {"pooler.dense.weight", "pooler.dense.bias"}  # our encoder has none
    missing = pooler if rivals.ours is Bert else set()
    assert report["missing_keys"] == missing
    assert not report["unexpected_keys"] and not report["mismatched_keys"]
    assert theirs.config.hidden_act == "relu"
    assert theirs.config.layer_norm_eps == 1e-3
    assert theirs.config.hidden_dropout_prob == 0.25
    assert theirs.config.architectures == [rivals.theirs.__name__]
    result = rivals.our_outputs(ours.to(dtype))
    expected = rivals.their_outputs(theirs.eval().to(dtype))
    for own, other in zip(result, expected, strict=True):
        close(own, other, tolerance)


@ALL_RIVALS
def test_what_is_written_is_read_again_as_it_was(rivals, tmp_path):
    model = our_model(rivals.ours, activation="gelu_new", eps=1e-4, dropout=0.5)
    folder = tmp_path / "a new" / "folder"
    model.save_pretrained(str(folder))
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    again = rivals.ours.from_pretrained(str(folder))
    assert again.config == model.config and not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def with_activation(activation):
    def change(model, inputs):
        for block in model.layers.layers:
            block.feed_forward.activation = activation

    return change


def with_eps(model, inputs):
    for part in model.modules():
        if isinstance(part, module.LayerNorm):
            part.eps = 1e-5


def with_query_as_key(model, inputs):
    for block in model.layers.layers:
        for parameter in block.attention.in_projection.parameters():
            query, key, value = parameter.data.chunk(3)
            parameter.data = torch.cat([key, query, value])


def with_norms_swapped(model, inputs):
    for block in model.layers.layers:
        block.attention_norm, block.feed_forward_norm = (
            block.feed_forward_norm,
            block.attention_norm,
        )


MISTAKES = {
    "tanh-GELU": with_activation(module.ACTIVATIONS["gelu_new"]),
    "ReLU": with_activation(F.relu),
    "epsilon": with_eps,
    "query as key": with_query_as_key,
    "norms swapped": with_norms_swapped,
    "no mask": lambda model, inputs: inputs.update(mask=None),
    "segments swapped": lambda model, inputs: inputs.update(
        segment_ids=1 - SEGMENT_IDS
    ),
    "no segments": lambda model, inputs: inputs.update(segment_ids=None),
}


@torch.no_grad()
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_stands_far_above_the_tolerance(mistake, tmp_path):
    ours, theirs = both(RIVALS["encoder"], tmp_path)
    expected = theirs(**INPUTS).last_hidden_state
    inputs = {"token_ids": TOKEN_IDS, "mask": MASK, "segment_ids": SEGMENT_IDS}
    close(ours(**inputs), expected, 1e-10)
    mistake(ours, inputs)
    assert (ours(**inputs) - expected)[MASK].abs().max() > 1e-6


# ------------------------------------------------------------------------------ chosen and tied


def pieces_of(outputs) -> torch.Tensor:
    return outputs[0] if isinstance(outputs, tuple) else outputs


@pytest.mark.parametrize("kind", [MaskedLanguageModel, PreTrainingModel])
def test_logits_of_chosen_places_are_those_of_the_full_pass(kind):
    model = our_model(kind).double()
    some = pieces_of(model(TOKEN_IDS, MASK, SEGMENT_IDS, CHOSEN))
    full = pieces_of(model(TOKEN_IDS, MASK, SEGMENT_IDS))
    assert some.shape == (CHOSEN.sum(), VOCAB) and full.shape == (BATCH, TIME, VOCAB)
    close(some, full[CHOSEN])
    factors = torch.randn(some.shape, generator=seeded(3), dtype=torch.float64)
    leaves = [*model.bert.parameters(), *model.language_head.parameters()]
    expected = torch.autograd.grad((full[CHOSEN] * factors).sum(), leaves)
    result = torch.autograd.grad((some * factors).sum(), leaves)
    for own, other in zip(result, expected, strict=True):
        close(own, other, 1e-10)


def test_the_head_has_the_matrix_of_the_embedding():
    model = our_model(MaskedLanguageModel).double()
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    assert shapes.count((VOCAB, D_MODEL)) == 1
    vectors = model.bert.embedding.tokens.weight
    factors = torch.randn(BATCH, TIME, VOCAB, generator=seeded(3)).double()

    def gradient(logits):
        return torch.autograd.grad((logits * factors).sum(), vectors)[0]

    hidden = model.bert(TOKEN_IDS, MASK)
    as_input = gradient(model.language_head(hidden, vectors.detach()))
    as_output = gradient(model.language_head(hidden.detach(), vectors))
    assert as_input.any() and as_output.any()
    close(gradient(model(TOKEN_IDS, MASK)), as_input + as_output, 1e-10)


# ------------------------------------------------------------------------------- other folders


def rewritten(folder, change):
    """Give the tensors of a folder other names: old -> new; those without one stay away."""
    path = folder / "model.safetensors"
    tensors = {change(name): part.clone() for name, part in load_file(path).items()}
    tensors.pop(None, None)
    save_file(tensors, path)
    return tensors


def old_name(name: str) -> str:
    """As BERT was published at first."""
    name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    return name.replace("LayerNorm.bias", "LayerNorm.beta")


@ALL_RIVALS
def test_old_names_are_read(rivals, tmp_path):
    model = our_model(rivals.ours)
    model.save_pretrained(tmp_path)
    tensors = rewritten(tmp_path, old_name)
    assert any(name.endswith("gamma") for name in tensors)
    again = rivals.ours.from_pretrained(tmp_path).state_dict()
    assert all(
        torch.equal(again[name], part) for name, part in model.state_dict().items()
    )


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_buffers_of_positions_and_the_prefix_do_not_matter(prefix, tmp_path):
    model = our_model(Bert)
    model.save_pretrained(tmp_path)
    tensors = rewritten(tmp_path, lambda name: prefix + name)
    tensors[f"{prefix}embeddings.position_ids"] = torch.arange(CONTEXT)[None]
    save_file(tensors, tmp_path / "model.safetensors")
    again = Bert.from_pretrained(tmp_path)
    close(again(TOKEN_IDS, MASK), model(TOKEN_IDS, MASK), 0)


@pytest.mark.parametrize(
    "kind",
    [MaskedLanguageModel, NextSentenceModel, PreTrainingModel, SequenceClassifier],
)
def test_the_encoder_is_read_from_a_file_with_heads(kind, tmp_path):
    model = our_model(kind)
    model.save_pretrained(tmp_path)
    encoder = Bert.from_pretrained(tmp_path)
    close(encoder(TOKEN_IDS, MASK), model.bert(TOKEN_IDS, MASK), 0)


def test_one_head_of_two_is_read(tmp_path):
    model = our_model(PreTrainingModel)
    model.save_pretrained(tmp_path)
    pieces, sentences = model(TOKEN_IDS, MASK, SEGMENT_IDS)
    for kind, expected in (
        (MaskedLanguageModel, pieces),
        (NextSentenceModel, sentences),
    ):
        own = kind.from_pretrained(tmp_path)
        close(own(TOKEN_IDS, MASK, SEGMENT_IDS), expected, 0)


def test_sizes_that_are_not_said_are_those_of_the_paper(tmp_path):
    small = {"vocab_size": 7, "num_hidden_layers": 1, "hidden_size": 24}
    Bert(BertConfig(vocab_size=7, n_layers=1, d_model=24)).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(small))
    config = Bert.from_pretrained(tmp_path).config
    defaults = transformers.BertConfig()
    for ours, theirs in huggingface.CONFIG_NAMES.items():
        assert getattr(config, ours) == small.get(theirs, getattr(defaults, theirs))


def test_a_classifier_of_two_classes_need_not_say_so(tmp_path):
    config = theirs_of.BertConfig(
        vocab_size=9, hidden_size=6, num_attention_heads=2, num_hidden_layers=1
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    assert "id2label" not in json.loads((tmp_path / "config.json").read_text())
    assert SequenceClassifier.from_pretrained(tmp_path).n_classes == 2


# -------------------------------------------------------------------------------------- errors


@pytest.fixture
def folder(tmp_path):
    our_model(MaskedLanguageModel).save_pretrained(tmp_path)
    return tmp_path


def refused(sentence: str, folder, kind=MaskedLanguageModel):
    """Reading raises this sentence, and the files stay as they were."""
    before = {path: path.read_bytes() for path in folder.glob("*") if path.is_file()}
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        kind.from_pretrained(folder)
    assert before == {
        path: path.read_bytes() for path in folder.glob("*") if path.is_file()
    }


def change_config(folder, **changes):
    path = folder / "config.json"
    facts = json.loads(path.read_text()) | changes
    kept = {name: value for name, value in facts.items() if value is not Ellipsis}
    path.write_text(json.dumps(kept))


def test_a_missing_file_is_an_error(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    refused(
        f"{elsewhere / 'config.json'} is not there; give a folder that holds it",
        elsewhere,
    )
    weights = folder / "model.safetensors"
    sentence = (
        f"{weights} is not there; give a folder that holds it (weights in pickle files, "
        "such as pytorch_model.bin, are never read: they can run code)"
    )
    weights.rename(folder / "pytorch_model.bin")
    refused(sentence, folder)
    (folder / "config.json").unlink()
    refused(
        f"{folder / 'config.json'} is not there; give a folder that holds it", folder
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"{",
            "is no JSON: Expecting property name enclosed in double quotes: line 1 "
            "column 2 (char 1)",
        ),
        (b"[1]", "holds list; it must be an object"),
        (b'"bert"', "holds str; it must be an object"),
        (
            b"\xff",
            "is no JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid "
            "start byte",
        ),
    ],
)
def test_a_config_that_is_no_object_is_an_error(folder, content, sentence):
    (folder / "config.json").write_bytes(content)
    refused(f"{folder / 'config.json'} {sentence}", folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta'; it must be 'bert'"),
        (
            {"position_embedding_type": "relative_key"},
            "position_embedding_type is 'relative_key'; it must be 'absolute'",
        ),
        ({"is_decoder": True}, "is_decoder is True; it must be False"),
        (
            {"hidden_act": "silu"},
            "activation='silu'; it must be one of gelu, gelu_new, relu",
        ),
        ({"vocab_size": 0}, "vocab_size=0; it must be at least 1"),
        (
            {"num_attention_heads": 4},
            "d_model=15 is not divisible by n_heads=4; all heads have the same size",
        ),
    ],
    ids=str,
)
def test_a_config_of_another_model_is_an_error(folder, changes, sentence):
    change_config(folder, **changes)
    refused(f"{folder / 'config.json'}: {sentence}", folder)


WRONG_KINDS = {
    "vocab_size": [..., None, True, "31"],
    "hidden_size|d_model": ["15", None, 15.0],
    "intermediate_size|d_ff": [20.0],
    "hidden_act|activation": [["gelu"], None],
    "hidden_dropout_prob|dropout": ["0.1", None, 2, -0.1],
    "layer_norm_eps|eps": ["1e-12", None, -1.0],
}


def test_a_config_with_a_wrong_kind_of_value_is_an_error_that_names_it(tmp_path):
    """As a reader sees it: in these tests types are checked before our own errors are raised."""
    expected = {}
    for names, values in WRONG_KINDS.items():
        for index, value in enumerate(values):
            name = names.partition("|")[0]
            folder = tmp_path / f"{name}-{index}"
            our_model(Bert).save_pretrained(folder)
            change_config(folder, **{name: value})
            expected[str(folder)] = names
    script = (
        "import sys\n"
        "from lmcourse.bert import Bert\n"
        "for folder in sys.argv[1:]:\n"
        "    try:\n"
        "        Bert.from_pretrained(folder)\n"
        "        print('nothing was raised')\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", script, *expected]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    lines = done.stdout.splitlines()
    for line, (folder, names) in zip(lines, expected.items(), strict=True):
        path = re.escape(str(pathlib.Path(folder) / "config.json"))
        assert re.match(f"ValueError {path}.*\\b({names})\\b", line), line


def test_a_load_leaves_torchs_source_of_chance_as_it_was(folder):
    state = torch.get_rng_state()
    MaskedLanguageModel.from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), state)


def test_untied_vectors_are_refused_because_they_give_other_logits(tmp_path):
    theirs = their_model(RIVALS["masked"], tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path)
    sentence = "tie_word_embeddings is False; it must be True"
    refused(f"{tmp_path / 'config.json'}: {sentence}", tmp_path)


def test_a_missing_weight_is_an_error(folder):
    gone = "bert.encoder.layer.2.attention.self.key.bias"
    rewritten(folder, lambda name: None if name == gone else name)
    path = folder / "model.safetensors"
    sentence = f"{path} holds no {gone.removeprefix('bert.')}; this model needs it"
    refused(sentence, folder)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (NextSentenceModel, "pooler.dense.weight"),
        (PreTrainingModel, "pooler.dense.weight"),
        (SequenceClassifier, "pooler.dense.weight"),
    ],
)
def test_a_head_that_is_not_there_is_an_error(folder, kind, name):
    path = folder / "model.safetensors"
    refused(f"{path} holds no {name}; this model needs it", folder, kind)


def test_a_weight_of_another_shape_is_an_error(folder):
    path = folder / "model.safetensors"
    change_config(folder, vocab_size=VOCAB - 1)
    sentence = (
        f"has shape ({VOCAB}, {D_MODEL}); by config.json it must be ({VOCAB - 1}, "
    )
    name = "embeddings.word_embeddings.weight"
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'{path}: ')}.*{re.escape(sentence)}"
    ) as caught:
        Bert.from_pretrained(folder)
    assert name in str(caught.value)
    change_config(folder, vocab_size=VOCAB, intermediate_size=D_FF + 1)
    refused(
        f"{path}: encoder.layer.0.intermediate.dense.weight has shape ({D_FF}, {D_MODEL}); "
        f"by config.json it must be ({D_FF + 1}, {D_MODEL})",
        folder,
    )


def test_a_layer_too_many_is_an_error(folder):
    change_config(folder, num_hidden_layers=LAYERS - 1)
    refused(
        f"{folder / 'model.safetensors'} holds "
        f"encoder.layer.{LAYERS - 1}.attention.output.LayerNorm.bias; "
        "by config.json there is no such part",
        folder,
    )
    change_config(folder, num_hidden_layers=LAYERS + 1)
    refused(
        f"{folder / 'model.safetensors'} holds no "
        f"encoder.layer.{LAYERS}.attention.self.query.weight; this model needs it",
        folder,
    )


@pytest.mark.parametrize("content", ["half", "empty", "other"])
def test_a_file_that_is_no_safetensors_is_an_error(folder, content):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(
        {"half": whole[: len(whole) // 2], "empty": b"", "other": b"PK" * 99}[content]
    )
    sentence = f"{path} is no safetensors file: "
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}."):
        Bert.from_pretrained(folder)


@pytest.mark.parametrize("broken", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("before", [False, True], ids=["new", "over another"])
def test_a_disk_that_is_full_leaves_no_half_file(before, broken, tmp_path, monkeypatch):
    written = []

    def half_of_it(path, *rest):
        path.write_bytes(b"half")
        written.append(path)
        raise OSError("No space left on device")

    if before:
        our_model(Bert, seed=1).save_pretrained(tmp_path)
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        if broken == "model.safetensors":
            patch.setattr(
                huggingface, "save_file", lambda tensors, path, *_: half_of_it(path)
            )
        else:
            patch.setattr(pathlib.Path, "write_text", half_of_it)
        with pytest.raises(OSError, match="^No space left on device$"):
            our_model(Bert).save_pretrained(tmp_path)
    assert written and written[0].name.startswith(broken)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after.keys() <= {"model.safetensors", "config.json"}
    assert after.get(broken) == contents.get(broken)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"n_layers": 0}, "n_layers=0; it must be at least 1"),
        ({"d_ff": -1}, "d_ff=-1; it must be at least 1"),
        ({"activation": "swish"}, "activation='swish'; it must be one of {}"),
        ({"eps": -1e-12}, "eps=-1e-12; it must be from 0 on and below 1"),
        ({"dropout": 1}, "dropout=1; it must be from 0 on and below 1"),
    ],
)
def test_sizes_that_make_no_sense_are_an_error(changes, sentence):
    sentence = sentence.format(", ".join(module.ACTIVATIONS))
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        BertConfig(**SIZES | changes)


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (
            lambda bert: bert(torch.full((2, 3), VOCAB)),
            f"token id {VOCAB} is outside 0 .. {VOCAB - 1} (vocab_size={VOCAB})",
        ),
        (
            lambda bert: bert(TOKEN_IDS, MASK, torch.full((BATCH, TIME), 2)),
            "segment ids from 2 to 2; they must be 0 .. 1",
        ),
        (
            lambda bert: bert(TOKEN_IDS, MASK, SEGMENT_IDS - 1),
            "segment ids from -1 to 0; they must be 0 .. 1",
        ),
        (
            lambda bert: bert(torch.zeros(1, CONTEXT + 1, dtype=torch.long)),
            f"a token at position {CONTEXT}, and context_length={CONTEXT}; "
            f"the last position is {CONTEXT - 1}",
        ),
        (
            lambda bert: bert(TOKEN_IDS, MASK & (torch.arange(BATCH) != 4)[:, None]),
            "the mask of row (4, 0) is False everywhere; each row must attend to something",
        ),
    ],
)
def test_inputs_that_make_no_sense_are_an_error(use, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        use(our_model(Bert))


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model(TOKEN_IDS[0]),
        lambda model: model(TOKEN_IDS, MASK[:, 1:]),
        lambda model: model(TOKEN_IDS, MASK.long()),
        lambda model: model(TOKEN_IDS, MASK, SEGMENT_IDS[1:]),
        lambda model: model(TOKEN_IDS, MASK, SEGMENT_IDS, CHOSEN[:, :3]),
        lambda model: sentence_embeddings(model.bert(TOKEN_IDS), MASK[:3]),
    ],
)
def test_wrong_shapes_are_refused(use):
    with pytest.raises(TypeCheckError):
        use(our_model(MaskedLanguageModel))


# ------------------------------------------------------------------------------- both sides


@torch.no_grad()
def test_every_token_sees_both_sides_and_no_padding():
    bert = our_model(Bert).double()
    before = bert(TOKEN_IDS, MASK)
    for place in range(TIME):
        changed = TOKEN_IDS.clone()
        changed[:, place] = (changed[:, place] + 1) % VOCAB
        difference = (bert(changed, MASK) - before).abs().amax(dim=2)
        for row, length in enumerate(LENGTHS):
            if place < length:
                assert (difference[row, :length] > 1e-6).all()
            else:  # padding
                assert (difference[row, :length] < 1e-12).all()


@torch.no_grad()
def test_padding_changes_nothing():
    model = our_model(PreTrainingModel)
    pieces, sentences = model(TOKEN_IDS, MASK, SEGMENT_IDS)
    for row, length in enumerate(LENGTHS):
        alone = slice(row, row + 1), slice(length)
        own_pieces, own_sentences = model(TOKEN_IDS[alone], None, SEGMENT_IDS[alone])
        close(own_pieces[0], pieces[row, :length], 1e-5)
        close(own_sentences[0], sentences[row], 1e-5)


@torch.no_grad()
def test_dropout_in_training_only():
    for kind in (MaskedLanguageModel, PreTrainingModel, SequenceClassifier):
        model, without = our_model(kind, dropout=0.5), our_model(kind, dropout=0)
        assert not model.training
        result, expected = (pieces_of(part(TOKEN_IDS)) for part in (model, without))
        assert torch.equal(result, expected)
        assert not torch.equal(pieces_of(model.train()(TOKEN_IDS)), expected)
        assert torch.equal(pieces_of(without.train()(TOKEN_IDS)), expected)


@ALL_RIVALS
def test_dropout_is_met_as_often_as_in_transformers(rivals):
    """Theirs drops attention weights besides, without asking a module for it."""
    ours = our_model(rivals.ours, dropout=0.5)
    theirs = their_model(rivals, hidden_dropout_prob=0.5)
    met = {}
    for model, call in ((ours, rivals.our_outputs), (theirs, rivals.their_outputs)):
        met[model] = []
        for part in model.modules():
            if isinstance(part, torch.nn.Dropout) and part.p == 0.5:
                part.register_forward_hook(
                    lambda part, inputs, output, met=met[model]: met.append(output)
                )
        call(model)
    at_heads = rivals.ours is SequenceClassifier
    assert len(met[ours]) == len(met[theirs]) == 1 + 2 * LAYERS + at_heads
    assert met[ours][0].shape == met[theirs][0].shape == (BATCH, TIME, D_MODEL)


def test_weights_begin_small_and_biases_at_0():
    torch.manual_seed(0)
    config = BertConfig(vocab_size=500, d_model=60, n_heads=HEADS, n_layers=2)
    model = PreTrainingModel(Bert(config))
    for name, parameter in model.named_parameters():
        if "norm.weight" in name:
            assert (parameter == 1).all()
        elif name.endswith("bias"):
            assert not parameter.any()
        else:
            error = module.STD / math.sqrt(2 * parameter.numel())
            assert abs(parameter.std().item() - module.STD) < 4 * error
            error = module.STD / math.sqrt(parameter.numel())
            assert abs(parameter.mean().item()) < 4 * error


# -------------------------------------------------------------------------------- the masks

# The special pieces stand anywhere, and 0, with which rows are filled up, is a word.
WORDS = [f"w{number}" for number in range(16)]
TOKENIZER = WordPiece(
    [*WORDS[:3], "[SEP]", "[MASK]", "[PAD]", *WORDS[3:9], "[UNK]", "[CLS]", *WORDS[9:]]
)
ORDINARY = [TOKENIZER.token_to_id[word] for word in WORDS]


def rows_of(n_ordinary: int, n_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """[CLS], random words with an [UNK] among them, [SEP], filled up with two 0; and the mask."""
    drawn = torch.randint(len(ORDINARY), (n_rows, n_ordinary), generator=seeded(5))
    words = torch.tensor(ORDINARY)[drawn]

    def all_rows(token_id):
        return torch.full((n_rows, 1), token_id)

    parts = [all_rows(TOKENIZER.cls_id), words[:, :1], all_rows(TOKENIZER.unk_id)]
    parts += [words[:, 1:], all_rows(TOKENIZER.sep_id), *[all_rows(0)] * 2]
    token_ids = torch.cat(parts, dim=1)
    time = token_ids.shape[1]
    return token_ids, (torch.arange(time) < time - 2).expand(n_rows, -1)


def assert_share(count, n: int, share: float):
    """Within 4 standard errors."""
    error = math.sqrt(share * (1 - share) / n)
    assert abs(int(count) / n - share) < 4 * error


def test_shares_of_what_is_chosen_and_of_what_becomes_of_it():
    token_ids, mask = rows_of(n_ordinary=20, n_rows=4000)
    seen, chosen = Masking(TOKENIZER)(token_ids, mask, seeded(0))
    ordinary = mask & torch.isin(token_ids, torch.tensor(ORDINARY))
    assert (chosen.sum(dim=1) == 3).all()  # 15 % of 20
    assert not (chosen & ~ordinary).any()
    assert torch.equal(seen[~chosen], token_ids[~chosen])
    for column in ordinary[0].nonzero().flatten():
        assert_share(chosen[:, column].sum(), len(chosen), 0.15)
    was, became = token_ids[chosen], seen[chosen]
    n, n_words = len(was), len(ORDINARY)
    masked, same = became == TOKENIZER.mask_id, became == was
    assert_share(masked.sum(), n, 0.8)
    assert_share(same.sum(), n, 0.1 + 0.1 / n_words)
    other = became[~masked & ~same]
    assert_share(len(other), n, 0.1 * (1 - 1 / n_words))
    assert set(other.tolist()) == set(ORDINARY)  # never a special piece
    for token_id in ORDINARY:
        assert_share((other == token_id).sum(), len(other), 1 / n_words)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5, 0.95])
@pytest.mark.parametrize("n_ordinary", [1, 2, 6, 11, 20])
def test_a_share_of_each_row_is_chosen_and_at_least_one(share, n_ordinary):
    token_ids, mask = rows_of(n_ordinary, n_rows=40)
    _, chosen = Masking(TOKENIZER, share)(token_ids, mask, seeded(0))
    n_chosen = chosen.sum(dim=1)
    assert (n_chosen >= 1).all()
    assert ((n_chosen - share * n_ordinary).abs() <= 0.5).all() or (n_chosen == 1).all()


def test_a_row_of_special_pieces_stays_as_it_is():
    special = ("cls", "unk", "mask", "pad", "sep")
    row = [getattr(TOKENIZER, f"{name}_id") for name in special]
    token_ids = torch.tensor([row, [ORDINARY[0]] * 5])
    seen, chosen = Masking(TOKENIZER)(token_ids, token_ids >= 0, seeded(0))
    assert chosen.sum(dim=1).tolist() == [0, 1]
    assert torch.equal(seen[0], token_ids[0])
    sentence = "1 texts of special pieces alone; nothing can be hidden"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        Masking(TOKENIZER)(token_ids[:1], token_ids[:1] >= 0)


def test_the_same_state_gives_the_same_masks():
    batch, masking = rows_of(20, n_rows=5), Masking(TOKENIZER)

    def both_equal(first, second):
        return all(torch.equal(*pair) for pair in zip(first, second, strict=True))

    first = masking(*batch, seeded(3))
    assert both_equal(masking(*batch, seeded(3)), first)
    assert not both_equal(masking(*batch, seeded(4)), first)
    torch.manual_seed(3)  # torch's own source is taken where none is given
    own = masking(*batch)
    assert not both_equal(masking(*batch), own)
    torch.manual_seed(3)
    assert both_equal(masking(*batch), own)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 1.5, math.nan])
def test_a_share_outside_is_an_error(share):
    sentence = f"share={share}; it must be above 0 and below 1"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Masking(TOKENIZER, share)


# ------------------------------------------------------------------------------------ training

TEXTS = [
    "w0 w1 w2 w3 w4 w5 w6",
    "w7 w8 w9 w10 w11",
    "w12 w13 w14 w15 w2 w9 w1 w11",
    "w5 w3 w12 w0 w8 w14",
]
SENTENCES = [TOKENIZER.encode(text) for text in TEXTS]
N_TOKENS = len(TOKENIZER)


def small_config(dropout: float | int = 0.0) -> BertConfig:
    return BertConfig(
        vocab_size=N_TOKENS,
        d_model=24,
        n_heads=HEADS,
        n_layers=2,
        d_ff=48,
        context_length=20,
        dropout=dropout,
    )


def masked_training(dropout: float | int = 0.0, seed: int = 0) -> MaskedTraining:
    model = initialised(
        lambda: MaskedLanguageModel(Bert(small_config(dropout))), seed, "bert"
    )
    return MaskedTraining(model, Masking(TOKENIZER))


def pairs_of_texts() -> list[Example]:
    """Of each text the two halves, and the first half with that of another text."""
    halves = [text.split() for text in TEXTS]
    halves = [(" ".join(words[:3]), " ".join(words[3:])) for words in halves]
    return [
        Example.of_texts(TOKENIZER, first, halves[(index + label) % 4][1], label)
        for index, (first, _) in enumerate(halves)
        for label in (0, 1)
    ]


def test_masks_of_evaluation_stay_and_those_of_training_do_not():
    model = masked_training()
    torch.manual_seed(0)
    first, second = (model.predicted_log_probs(SENTENCES) for _ in range(2))
    assert not torch.equal(first, second)
    model.eval()
    state = torch.get_rng_state()
    first, second = (model.predicted_log_probs(SENTENCES) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())


def test_the_model_sees_the_masks_and_guesses_what_stood_there(monkeypatch):
    model = masked_training().eval()
    token_ids, mask = pad_sentences(SENTENCES)
    seen, chosen = model.masking(token_ids, mask, seeded(0))
    probs = model.model(seen, mask).softmax(dim=-1)
    expected = [
        probs[row, place, token_ids[row, place]].log()
        for row, place in chosen.nonzero().tolist()
    ]
    assert len(expected) == 4
    close(model.predicted_log_probs(SENTENCES), torch.stack(expected), 1e-6)


def test_pre_training_asks_for_pieces_and_pairs():
    model = PreTraining(PreTrainingModel(Bert(small_config())), Masking(TOKENIZER))
    moved(model.eval())
    examples = pairs_of_texts()
    token_ids, mask, segment_ids, labels = to_tensors(examples, torch.device("cpu"))
    seen, chosen = model.masking(token_ids, mask, seeded(0))
    pieces, classes = model.model(seen, mask, segment_ids)
    of_pieces = -F.cross_entropy(pieces[chosen], token_ids[chosen], reduction="none")
    of_pairs = -F.cross_entropy(classes, labels, reduction="none")
    result = model.predicted_log_probs(examples)
    close(result, torch.cat([of_pieces, of_pairs]), 1e-5)


def test_the_loss_begins_at_chance():
    history = train(masked_training(), SENTENCES, steps=1, lr=1e-3)
    assert history.losses[0] == pytest.approx(math.log2(N_TOKENS), abs=0.15)
    assert history.n_tokens == 4
    bert = initialised(lambda: Bert(small_config()), 0, "bert")
    model = PreTraining(PreTrainingModel(bert), Masking(TOKENIZER))
    n_examples = len(pairs_of_texts())
    log_probs = model.predicted_log_probs(pairs_of_texts()).detach()
    assert log_probs[-n_examples:].mean().item() == pytest.approx(
        -math.log(2), abs=0.05
    )
    assert log_probs[:-n_examples].mean().item() == pytest.approx(
        -math.log(N_TOKENS), abs=0.1
    )
    torch.manual_seed(0)
    model = SequenceClassifier(Bert(small_config()), CLASSES)
    examples = [Example(ids, label % CLASSES) for label, ids in enumerate(SENTENCES)]
    history = train(model, examples, steps=1, lr=1e-3)
    assert history.losses[0] == pytest.approx(math.log2(CLASSES), abs=0.05)


def test_sentences_can_be_learned_by_heart():
    model = masked_training()
    torch.manual_seed(0)
    train(model, SENTENCES * 8, steps=150, lr=0.01, warm_up=20, max_norm=1.0)
    blanks = [
        (sentence, place)
        for sentence in SENTENCES
        for place in range(1, len(sentence) - 1)
    ]
    guesses = fill_in_log_probs(model.model, TOKENIZER.mask_id, blanks).argmax(dim=1)
    right = torch.tensor([sentence[place] for sentence, place in blanks])
    assert (guesses == right).all()
    assert mean_bits(model, SENTENCES) < 0.5


def test_pairs_can_be_learned_by_heart():
    torch.manual_seed(0)
    examples = pairs_of_texts()
    model = PreTraining(PreTrainingModel(Bert(small_config())), Masking(TOKENIZER))
    train(model, examples, steps=150, lr=0.01, warm_up=20, max_norm=1.0)
    token_ids, mask, segment_ids, labels = to_tensors(examples, torch.device("cpu"))
    with training.evaluating(model):
        _, classes = model.model(token_ids, mask, segment_ids)
    assert torch.equal(classes.argmax(dim=1), labels)


def test_classes_can_be_learned_by_heart():
    torch.manual_seed(0)
    model = SequenceClassifier(Bert(small_config(dropout=0.1)), CLASSES)
    examples = [Example(ids, label % CLASSES) for label, ids in enumerate(SENTENCES)]
    model.train()
    assert model.accuracy(examples) < 1
    train(model, examples, steps=200, lr=5e-3, warm_up=10, max_norm=1.0)
    assert model.accuracy(examples) == model.accuracy(examples, batch_size=3) == 1
    assert model.training


def test_accuracy_is_a_share():
    torch.manual_seed(0)
    model = moved(SequenceClassifier(Bert(small_config()), CLASSES)).eval()
    examples = [
        Example(ids, label)
        for ids in SENTENCES
        for label in range(CLASSES)  # one of them is right
    ]
    assert model.accuracy(examples) == pytest.approx(1 / CLASSES)
    assert model.accuracy(examples, batch_size=5) == pytest.approx(1 / CLASSES)
    best = [Example(ids, int(model(torch.tensor([ids])).argmax())) for ids in SENTENCES]
    assert model.accuracy(best) == 1


class Killed(Exception):
    pass


@pytest.mark.parametrize("n_steps", [3, 5, 8])  # saved after 3, 6, 9
def test_a_run_that_was_killed_draws_the_same_masks(n_steps, tmp_path, monkeypatch):
    def run(model, seed, **settings):
        torch.manual_seed(seed)
        return train(
            model,
            SENTENCES,
            steps=10,
            lr=0.01,
            batch_size=3,
            generator=generator(0, "batches"),
            dev=SENTENCES[:2],
            evaluate_every=4,
            save_every=3,
            **settings,
        )

    calls = itertools.count()

    def mortal(*arguments):
        if next(calls) == n_steps:
            raise Killed
        return take_step(*arguments)

    expected_model = masked_training(dropout=0.2)
    expected = run(expected_model, seed=0)
    path = tmp_path / "run.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(training, "take_step", mortal)
        with pytest.raises(Killed):
            run(masked_training(dropout=0.2), seed=0, checkpoint=path)
    model = masked_training(dropout=0.2, seed=1)
    assert run(model, seed=1, checkpoint=path) == expected
    for part, other in zip(
        model.parameters(), expected_model.parameters(), strict=True
    ):
        assert torch.equal(part, other)


def test_padding_is_never_guessed():
    model = masked_training()
    sentences = [TOKENIZER.encode(text) for text in ("w3", "w1 w2 w3 w4 w5 w6 w7")]
    asked = []

    def guess(seen, mask, chosen):
        asked.append((mask, chosen))
        return torch.zeros(int(chosen.sum()), N_TOKENS)

    model.model.forward = guess
    for _ in range(20):
        model.predicted_log_probs(sentences)
    assert not any((chosen & ~mask).any() for mask, chosen in asked)
    assert all(chosen.any(dim=1).all() for _, chosen in asked)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 1]])
def test_a_label_that_is_no_class_is_an_error(labels):
    examples = [Example(SENTENCES[0], label) for label in labels]
    sentence = "labels from {} to {}; they must be 0 .. {}"
    model = SequenceClassifier(Bert(small_config()), CLASSES)
    expected = re.escape(sentence.format(*labels, CLASSES - 1))
    with pytest.raises(ValueError, match=f"^{expected}$"):
        model.predicted_log_probs(examples)
    model = PreTraining(PreTrainingModel(Bert(small_config())), Masking(TOKENIZER))
    expected = re.escape(sentence.format(*labels, 1))
    with pytest.raises(ValueError, match=f"^{expected}$"):
        model.predicted_log_probs(examples)


def test_the_accuracy_of_nothing_is_an_error():
    model = SequenceClassifier(Bert(small_config()), CLASSES)
    with pytest.raises(ValueError, match="^0 examples; at least 1 is needed$"):
        model.accuracy([])


# ------------------------------------------------------------------------------------ using it


@pytest.mark.parametrize("batch_size", [1, 2, 250])
def test_blanks_equal_softmax_by_hand(batch_size):
    model = moved(masked_training(dropout=0.3)).model.double().train()
    blanks = [
        (SENTENCES[0], 2),
        (SENTENCES[1], 5),
        (SENTENCES[2], 1),
        (SENTENCES[0], 7),
    ]
    result = fill_in_log_probs(model, TOKENIZER.mask_id, blanks, batch_size)
    assert model.training and not result.requires_grad
    assert result.shape == (len(blanks), N_TOKENS)
    model.eval()
    for row, (token_ids, place) in zip(result, blanks, strict=True):
        seen = list(token_ids)
        seen[place] = TOKENIZER.mask_id
        exps = model(torch.tensor([seen]))[0, place].exp()
        close(row.exp(), (exps / exps.sum()).detach(), 1e-10)
    assert SENTENCES[0] == TOKENIZER.encode(TEXTS[0])


@pytest.mark.parametrize("place", [-1, 4, 5])
def test_a_blank_outside_its_text_is_an_error(place):
    model = masked_training().model
    blanks = [(SENTENCES[0], 1), (SENTENCES[1][:4], place)]
    sentence = f"place {place} of a text of 4 tokens; it must be 0 .. 3"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        fill_in_log_probs(model, TOKENIZER.mask_id, blanks)
    with pytest.raises(ValueError, match="^0 blanks; at least 1 is needed$"):
        fill_in_log_probs(model, TOKENIZER.mask_id, [])


def test_sentence_embeddings_equal_a_loop():
    hidden = torch.randn(BATCH, TIME, D_MODEL, generator=seeded(0)).double()
    result = sentence_embeddings(hidden, MASK)
    for row, length in enumerate(LENGTHS):
        mean = sum(hidden[row, place] for place in range(length)) / length
        close(result[row], mean / mean.square().sum().sqrt())
    hidden[~MASK] = math.nan  # what stands at padding is not looked at
    close(sentence_embeddings(hidden, MASK), result)


def test_an_example_is_its_token_ids_with_more():
    example = Example([2, 9, 3], label=1)
    assert example.segment_ids == [0, 0, 0]
    assert len(example) == 3 and list(example) == [2, 9, 3] and example[1] == 9
    assert repr(example) == "Example([2, 9, 3], label=1, segment_ids=[0, 0, 0])"
    pair = Example.of_texts(TOKENIZER, "w0 w1", "w2", label=0)
    assert pair.token_ids == TOKENIZER.encode("w0 w1", "w2")
    assert pair.segment_ids == [0, 0, 0, 0, 1, 1] and pair.label == 0


def test_a_separator_in_the_first_text_does_not_begin_the_second():
    pair = Example.of_texts(TOKENIZER, "w0 [SEP] w1", "w2", label=0)
    assert pair.segment_ids == [0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("segment_ids", [[0, 0], [0, 0, 0, 1], []])
def test_each_token_needs_a_segment(segment_ids):
    sentence = f"3 token ids and {len(segment_ids)} segment ids; each token needs one"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        Example([2, 9, 3], label=1, segment_ids=segment_ids)


# ----------------------------------------------------------------------------- the real encoder

ENGLISH = [
    "A turtle sleeps on the beach.",
    "Tortoises, which are reptiles, often doze by the sea; nobody minds!",
    "The bank raised its interest rates again in 2019.",
    "Ünbelievable: naïve café-goers pay €5.",
]


@pytest.fixture(scope="module")
def real(real_bert_folder):
    """Our encoder, theirs, and a batch of theirs: token ids, mask, segments."""
    theirs = transformers.BertModel.from_pretrained(
        real_bert_folder, attn_implementation="eager"
    ).eval()
    tokenizer = transformers.BertTokenizerFast.from_pretrained(real_bert_folder)
    batch = tokenizer(ENGLISH, padding=True, return_tensors="pt")
    return Bert.from_pretrained(real_bert_folder), theirs, batch


def test_the_real_tokenizer_gives_the_ids_of_transformers(real, real_bert_folder):
    *_, batch = real
    tokenizer = WordPiece.from_pretrained(real_bert_folder)
    token_ids, mask = pad_sentences([tokenizer.encode(text) for text in ENGLISH])
    assert tokenizer.pad_id == 0
    assert torch.equal(token_ids, batch["input_ids"])
    assert torch.equal(mask.long(), batch["attention_mask"])


@torch.no_grad()
def test_the_real_encoder_equals_transformers(real):
    ours, theirs, batch = real
    token_ids, mask = batch["input_ids"], batch["attention_mask"] > 0
    with recorded_weights(ours) as weights:
        hidden = ours(token_ids, mask)
    expected = theirs(**batch, output_attentions=True)
    close(hidden, expected.last_hidden_state, 2e-5)
    assert len(weights) == len(expected.attentions) == 6
    for own, other in zip(weights, expected.attentions, strict=True):
        close(own, other, 2e-5)
    total = (expected.last_hidden_state * mask[..., None]).sum(dim=1)
    means = total / mask.sum(dim=1, keepdim=True)
    cosines = F.cosine_similarity(means[:, None], means[None], dim=-1)
    embeddings = sentence_embeddings(hidden, mask)
    close(embeddings, means / means.norm(dim=1, keepdim=True), 2e-5)
    close(embeddings @ embeddings.t(), cosines, 2e-5)
    assert cosines[0, 1] > max(cosines[0, 2], cosines[0, 3])  # turtles beside tortoises


@torch.no_grad()
def test_the_real_encoder_equals_transformers_in_float64(real, real_bert_folder):
    _, _, batch = real
    ours = Bert.from_pretrained(real_bert_folder).double()
    theirs = transformers.BertModel.from_pretrained(real_bert_folder).eval().double()
    hidden = ours(batch["input_ids"], batch["attention_mask"] > 0)
    close(hidden, theirs(**batch).last_hidden_state, 1e-10)
