"""Trained weights in files: what is saved comes back, whole or not at all."""

import base64
import hashlib
import json
import re

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from torch import nn

from lmcourse import pretrained
from lmcourse.bert import MaskedTraining, Masking
from lmcourse.data.grammar import (
    TEACHING_GRAMMAR,
    Grammar,
    teaching_language,
    teaching_wordpiece,
)
from lmcourse.data.translation import translation_data
from lmcourse.experiments.seq2seq import encoded_pairs
from lmcourse.pretrained import real_bert, recipes
from lmcourse.pretrained.__main__ import main
from lmcourse.pretrained.recipes import RECIPES, Recipe
from lmcourse.pretrained.tables import TABLES
from lmcourse.rnn import LSTM, RNNLanguageModel
from lmcourse.training import mean_bits, train
from lmcourse.widgets import base

FACTS = {
    "command": "python -m lmcourse.pretrained",
    "words": ["<s>", "토끼"],
    "bits": 1.5,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder in the place of the shipped one."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def cell():
    torch.manual_seed(0)
    return nn.GRUCell(3, 5)


def test_what_is_saved_comes_back(folder, cell):
    path = pretrained.save("toy", cell.state_dict(), FACTS)
    assert path == folder / "toy.safetensors" == pretrained.path("toy")
    assert pretrained.names() == ["toy"]
    loaded = pretrained.load_tensors("toy")
    assert loaded.keys() == cell.state_dict().keys()
    for name, tensor in cell.state_dict().items():
        assert torch.equal(loaded[name], tensor)
    assert pretrained.facts("toy") == FACTS
    assert list(folder.iterdir()) == [path]  # nothing else is left


def test_the_file_is_what_the_safetensors_library_reads(folder, cell):
    path = pretrained.save("toy", dict(cell.named_parameters()), FACTS)
    read = safetensors.load_file(path)
    assert all(torch.equal(read[name], p) for name, p in cell.named_parameters())
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["lmcourse"]) == FACTS


def test_the_hash_is_that_of_the_file_and_changes_with_it(folder, cell):
    path = pretrained.save("toy", cell.state_dict(), FACTS)
    first = pretrained.sha256("toy")
    assert first == hashlib.sha256(path.read_bytes()).hexdigest()
    pretrained.save("toy", cell.state_dict(), dict(reversed(FACTS.items())))
    assert pretrained.sha256("toy") == first
    pretrained.save("toy", {"weight": torch.zeros(2)}, FACTS)
    assert pretrained.sha256("toy") != first


def test_halves_are_stored_as_halves_and_come_back_as_floats(folder):
    halves = torch.tensor([1.0, 0.1, 65504.0, 6e-8]).half()
    path = pretrained.save("toy", {"w": halves}, {})
    assert safetensors.load_file(path)["w"].dtype == torch.float16
    loaded = pretrained.load_tensors("toy")["w"]
    assert loaded.dtype == torch.float32 and torch.equal(loaded, halves.float())


def test_transposed_and_shared_tensors_are_stored_as_they_look(folder):
    table = torch.arange(6.0).reshape(2, 3)
    pretrained.save("toy", {"in": table, "out": table, "turned": table.T}, {})
    loaded = pretrained.load_tensors("toy")
    assert torch.equal(loaded["in"], table) and torch.equal(loaded["out"], table)
    assert torch.equal(loaded["turned"], table.T)


@pytest.mark.parametrize(
    ("name", "tensors", "facts", "message"),
    [
        ("../toy", {}, {}, "name='../toy': use small letters, digits and _ only"),
        ("toy", {"w": torch.zeros(2).long()}, {}, "'w' is torch.int64: weights are"),
        ("toy", {"w": torch.zeros(2).bfloat16()}, {}, "'w' is torch.bfloat16"),
        ("toy", {"w": torch.tensor([0, torch.nan])}, {}, "'w' holds a NaN"),
        ("toy", {}, {"x": {1, 2}}, "the facts of 'toy' are no JSON"),
        ("toy", {}, {"x": float("nan")}, "the facts of 'toy' are no JSON"),
        ("toy", {"w": torch.zeros(250_000)}, {}, "bytes, more than 1,000,000"),
    ],
)
def test_save_refuses_and_leaves_the_old_file(folder, name, tensors, facts, message):
    pretrained.save("toy", {"w": torch.ones(2)}, FACTS)
    before = pretrained.path("toy").read_bytes()
    with pytest.raises(ValueError, match=re.escape(message)):
        pretrained.save(name, tensors, facts)
    assert [file.name for file in folder.iterdir()] == ["toy.safetensors"]
    assert pretrained.path("toy").read_bytes() == before


def test_a_write_that_breaks_off_leaves_the_old_file(folder, monkeypatch):
    pretrained.save("toy", {"w": torch.ones(2)}, FACTS)
    before = pretrained.path("toy").read_bytes()

    def full(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(pretrained.os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        pretrained.save("toy", {"w": torch.zeros(2)}, FACTS)
    assert [file.name for file in folder.iterdir()] == ["toy.safetensors"]
    assert pretrained.path("toy").read_bytes() == before


@pytest.mark.parametrize("function", ["path", "sha256", "load_tensors", "facts"])
def test_an_unknown_name_is_said_with_those_there_are(folder, function):
    pretrained.save("b_model", {}, {})
    pretrained.save("a_model", {}, {})
    message = "there are no weights 'toy'; there are: a_model, b_model"
    with pytest.raises(ValueError, match=message):
        getattr(pretrained, function)("toy")


def test_a_file_cut_short_is_not_read(folder):
    path = pretrained.save("toy", {"w": torch.ones(9)}, {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SafetensorError):
        pretrained.load_tensors("toy")


def test_every_shipped_file_is_small_and_says_how_it_was_made():
    for name in pretrained.names():
        assert pretrained.path(name).stat().st_size <= pretrained.MAX_BYTES
        assert pretrained.facts(name)
        assert all(
            tensor.isfinite().all() for tensor in pretrained.load_tensors(name).values()
        )


def test_a_model_widget_stores_the_hash_and_sends_the_bytes(folder, cell):
    path = pretrained.save("toy", cell.state_dict(), FACTS)

    class Toy(base.ModelWidget):
        pretrained = "toy"

        def fallback(self) -> str:
            return "a toy"

    widget = Toy()
    assert widget.state() == {
        "weights_name": "toy",
        "weights_sha256": pretrained.sha256("toy"),
    }
    assert widget.weights == path.read_bytes()
    assert widget.get_state("weights")["weights"] == path.read_bytes()
    pretrained.save("toy", {}, {})
    assert Toy().snapshot() != widget.snapshot()
    path.unlink()
    with pytest.raises(ValueError, match="there are no weights 'toy'"):
        Toy()


def test_the_site_gets_one_script_for_each_file(folder, cell):
    assert base.weights_scripts() == {}
    path = pretrained.save("toy", cell.state_dict(), FACTS)
    (name, script), *others = base.weights_scripts().items()
    assert name == "toy.weights.js" and not others
    called = re.fullmatch(r"lmcourse\.registerWeights\((.*)\);\n", script)
    registered, sha256, content = json.loads(f"[{called[1]}]")
    assert registered == "toy" and sha256 == pretrained.sha256("toy")
    assert base64.b64decode(content) == path.read_bytes()


# --- the models of the course


def test_every_recipe_has_its_weights_and_every_file_its_recipe():
    assert sorted([*RECIPES, *TABLES]) == pretrained.names()


@pytest.mark.parametrize("name", RECIPES)
def test_a_trained_model_is_as_good_as_its_facts_say(name):
    facts, model = pretrained.facts(name), recipes.load(name)
    assert facts["about"] == RECIPES[name].about
    for key, tokens in RECIPES[name].vocabularies().items():
        assert facts[key] == list(tokens)
    if "tokens" in facts:
        language = teaching_language(recipes.SEED)
        tokenizer = language.tokenizer
        if name == "bert":
            tokenizer = teaching_wordpiece()
            model = MaskedTraining(model, Masking(tokenizer, share=0.3))
        dev = [tokenizer.encode(text) for text in language.dev]
    else:
        data = translation_data(recipes.SEED)
        dev = encoded_pairs(data, data.dev)
    assert mean_bits(model, dev) == pytest.approx(facts["dev_bits"], abs=1e-3)


def test_cooking_trains_and_stores(tmp_path, monkeypatch):
    def brief(model):
        return train(model, [[0, 2, 1]], steps=2, lr=0.1, dev=[[0, 2, 1]])

    def make():
        return RNNLanguageModel(4, LSTM(d_input=3, d_hidden=2))

    toy = Recipe("A toy.", make, brief, lambda: {"tokens": ("<s>", "</s>", "a", "b")})
    monkeypatch.setitem(RECIPES, "toy", toy)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    facts = recipes.cook("toy")
    assert facts == pretrained.facts("toy")
    assert (facts["steps"], facts["tokens"]) == (2, ["<s>", "</s>", "a", "b"])
    again = (tmp_path / "toy.safetensors").read_bytes()
    recipes.cook("toy")
    assert (tmp_path / "toy.safetensors").read_bytes() == again  # the seed says it all


def test_a_recipe_nobody_has_is_said_before_anything_is_trained(capsys):
    with pytest.raises(SystemExit):
        main(["rnn", "gpt"])
    assert "there is no 'gpt'; there are: rnn, seq2seq" in capsys.readouterr().err


# --- what was counted or computed


def test_trigram_file_holds_the_grammar():
    facts = pretrained.facts("trigram")
    grammar = Grammar(facts["rules"], facts["start"])
    words = teaching_language(recipes.SEED).test[0].split()
    assert grammar.log_prob(words) == TEACHING_GRAMMAR.log_prob(words)


def test_encoder_attention_is_that_of_the_encoder(real_bert_folder):
    stored, facts = (
        read("encoder_attention")
        for read in (pretrained.load_tensors, pretrained.facts)
    )
    computed, facts_now = TABLES["encoder_attention"]()
    assert facts == facts_now
    assert stored.keys() == computed.keys()
    for name, weights in computed.items():
        torch.testing.assert_close(stored[name], weights.float(), rtol=0, atol=2e-3)


def test_other_weights_than_the_published_ones_are_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"something else")
    with pytest.raises(ValueError, match="has the SHA-256 .*; that of the published"):
        real_bert.check_weights(file)


def test_a_missing_encoder_says_what_to_do(monkeypatch):
    monkeypatch.setattr(real_bert, "PACKAGE", "no_such_package")
    real_bert.folder.cache_clear()
    assert not real_bert.is_installed()
    with pytest.raises(ValueError, match="make real-bert installs it"):
        real_bert.folder()


def test_a_table_that_cannot_be_computed_is_one_sentence(monkeypatch, capsys):
    def missing():
        raise ValueError("the encoder is not there")

    monkeypatch.setitem(TABLES, "encoder_attention", missing)
    with pytest.raises(SystemExit):
        main(["encoder_attention"])
    assert "encoder_attention: the encoder is not there" in capsys.readouterr().err
