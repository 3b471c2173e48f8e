"""Published weights: the folders in which models are passed on, as Hugging Face lays them out.

`config.json` holds the sizes, `model.safetensors` the weights. The published BERT has other names
for its parts than ours, and keeps query, key and value in three matrices where ours has one.
No file is ever unpickled: a pickle can run code.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmcourse.training import write_whole

CONFIG_NAMES = {
    "vocab_size": "vocab_size",
    "d_model": "hidden_size",
    "n_heads": "num_attention_heads",
    "n_layers": "num_hidden_layers",
    "d_ff": "intermediate_size",
    "context_length": "max_position_embeddings",
    "n_segments": "type_vocab_size",
    "activation": "hidden_act",
    "eps": "layer_norm_eps",
    "dropout": "hidden_dropout_prob",
}
"""Our names of the sizes, and those in config.json."""

OTHER_KINDS = {
    "hidden_act": (str, "a text"),
    "layer_norm_eps": (float | int, "a number"),
    "hidden_dropout_prob": (float | int, "a number"),
}
"""The sizes that are no whole numbers."""

PUBLISHED_PARTS = {
    "embedding.tokens.": "embeddings.word_embeddings.",
    "embedding.positions.embedding.": "embeddings.position_embeddings.",
    "embedding.segments.": "embeddings.token_type_embeddings.",
    "embedding.norm.": "embeddings.LayerNorm.",
    "layers.layers.": "encoder.layer.",
    "attention.out_projection.": "attention.output.dense.",
    "attention_norm.": "attention.output.LayerNorm.",
    "feed_forward.inner.": "intermediate.dense.",
    "feed_forward.outer.": "output.dense.",
    "feed_forward_norm.": "output.LayerNorm.",
}
"""Our names of the parts, and the published ones."""


class Published(nn.Module):
    """A BERT that can be read from such a folder, and written to one.

    Attributes:
        architecture: the name of the same class in transformers.
        published_names: how the names of parameters outside the encoder begin: ours -> theirs.
        config: the sizes, under our names.
    """

    architecture: str
    published_names: dict[str, str]
    config: Any

    @classmethod
    def of_sizes(cls, sizes: dict[str, Any], facts: dict[str, Any]) -> "Published":
        """A fresh model of these sizes; `facts` is the whole of config.json."""
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> "Published":
        """The model whose config.json and model.safetensors lie in the folder, in evaluation.

        Its parameters have torch's default type, whatever the file holds. Parts of the file that
        this model has not (other heads) are left out.

        Raises:
            ValueError: a file is missing or is not what its name says, the model is no BERT as
                ours, or a weight is missing or of another shape.
        """
        facts = read_facts(Path(folder))
        sizes = read_sizes(facts, Path(folder))
        try:
            with torch.random.fork_rng(devices=[]):  # what is drawn is thrown away
                model = cls.of_sizes(sizes, facts)
        except ValueError as error:
            raise ValueError(f"{Path(folder) / 'config.json'}: {error}") from error
        model.load_state_dict(model.from_published(Path(folder)))
        return model.eval()

    def save_pretrained(self, folder: Path | str) -> None:
        """Write config.json and model.safetensors so that transformers can read them.

        Each file is written whole or not at all. The vocabulary is saved by the tokenizer.
        """
        folder = Path(folder)
        facts = {"architectures": [self.architecture], **self.published_facts()}
        text = json.dumps(facts, indent=2) + "\n"
        tensors = {
            name: tensor.contiguous() for name, tensor in self.to_published().items()
        }
        write_whole(
            folder / "model.safetensors",
            lambda path: save_file(tensors, path, {"format": "pt"}),
        )
        write_whole(folder / "config.json", lambda path: path.write_text(text, "utf-8"))

    def published_facts(self) -> dict[str, Any]:
        """What config.json says about this model."""
        return {
            "model_type": "bert",
            "attention_probs_dropout_prob": 0.0,
            **{
                theirs: getattr(self.config, ours)
                for ours, theirs in CONFIG_NAMES.items()
            },
        }

    def to_published(self) -> dict[str, Tensor]:
        """The parameters under the names, and cut as, they are published."""
        tensors = {}
        for name, tensor in self.state_dict().items():
            theirs = self.published(name)
            tensors |= dict(zip(theirs, tensor.chunk(len(theirs)), strict=True))
        return tensors

    def from_published(self, folder: Path) -> dict[str, Tensor]:
        """The parameters of this model, put together from the file in the folder."""
        path = folder / "model.safetensors"
        tensors = {modern(name): part for name, part in read_tensors(path).items()}
        state, unused = {}, {name for name in tensors if of_encoder(name)}
        for name, own in self.state_dict().items():
            names = [modern(theirs) for theirs in self.published(name)]
            shape = (own.shape[0] // len(names), *own.shape[1:])
            for theirs in names:
                if theirs not in tensors:
                    raise ValueError(f"{path} holds no {theirs}; this model needs it")
                if tensors[theirs].shape != shape:
                    raise ValueError(
                        f"{path}: {theirs} has shape {tuple(tensors[theirs].shape)}; "
                        f"by config.json it must be {shape}"
                    )
            state[name] = torch.cat([tensors[theirs] for theirs in names]).to(own.dtype)
            unused -= set(names)
        if unused:
            raise ValueError(
                f"{path} holds {min(unused)}; by config.json there is no such part"
            )
        return state

    def published(self, name: str) -> list[str]:
        """The published names of one of our parameters; of the joint projection there are three."""
        for ours, theirs in self.published_names.items():
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
        for ours, theirs in PUBLISHED_PARTS.items():
            name = name.replace(ours, theirs)
        cut = name.partition("in_projection")
        if not cut[1]:
            return [name]
        return [f"{cut[0]}self.{part}{cut[2]}" for part in ("query", "key", "value")]


def read_facts(folder: Path) -> dict[str, Any]:
    """What config.json says.

    Raises:
        ValueError: there is no such file, or it is not of a BERT that ours can be.
    """
    path = folder / "config.json"
    facts = read_json(path)
    expected = {
        "model_type": "bert",
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "tie_word_embeddings": True,
    }
    for name, value in expected.items():
        if facts.get(name, value) != value:
            raise ValueError(f"{path}: {name} is {facts[name]!r}; it must be {value!r}")
    return facts


def read_sizes(facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The sizes in config.json under our names; those that it leaves out stay as in the paper.

    Raises:
        ValueError: vocab_size is missing, or a size is of another type.
    """
    path = folder / "config.json"
    if "vocab_size" not in facts:
        raise ValueError(f"{path} holds no vocab_size; a model needs it")
    sizes = {}
    for ours, theirs in CONFIG_NAMES.items():
        if theirs in facts:
            value = facts[theirs]
            kind, rule = OTHER_KINDS.get(theirs, (int, "a whole number"))
            if isinstance(value, bool) or not isinstance(value, kind):
                raise ValueError(f"{path}: {theirs} is {value!r}; it must be {rule}")
            sizes[ours] = value
    return sizes


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; a ValueError says what is wrong with it."""
    if not path.is_file():
        raise ValueError(f"{path} is not there; give a folder that holds it")
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}; it must be an object")
    return content


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file; a ValueError says what is wrong with it."""
    if not path.is_file():
        raise ValueError(
            f"{path} is not there; give a folder that holds it (weights in pickle files, "
            "such as pytorch_model.bin, are never read: they can run code)"
        )
    try:
        return load_file(path)
    except Exception as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error


def modern(name: str) -> str:
    """The name of a weight without "bert." in front, and as it is written today.

    >>> modern("bert.embeddings.LayerNorm.gamma")
    'embeddings.LayerNorm.weight'
    """
    name = name.removeprefix("bert.")
    for old, new in {"LayerNorm.gamma": "weight", "LayerNorm.beta": "bias"}.items():
        if name.endswith(old):
            return name.removesuffix(old) + "LayerNorm." + new
    return name


def of_encoder(name: str) -> bool:
    """Whether a published weight belongs to the embedding or the stack."""
    return name.startswith(("embeddings.", "encoder.")) and "position_ids" not in name
