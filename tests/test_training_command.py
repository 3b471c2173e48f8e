"""`python -m lmcourse.training`: every model, runs that go on, what is refused, samples."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.distributed.run import get_args_parser

from lmcourse import training
from lmcourse.data.documents import cut, documents, part_of
from lmcourse.language_models import cross_entropy
from lmcourse.markov import ModifiedKneserNey
from lmcourse.tokenizers import CharTokenizer, WordTokenizer
from lmcourse.training import command as command_module
from lmcourse.training import generator
from lmcourse.training.command import (
    KINDS,
    TRAINING,
    chosen_n_gram,
    made_model,
    main,
    parse,
    parser,
)

SHORT = (
    "--steps 6 --evaluate-every 3 --save-every 2 --batch-size 4 --device cpu".split()
)
SMALL = {
    "unigram": [],
    "n-gram": [],
    "rnn": [*SHORT, "--d-input", "3", "--d-hidden", "5"],
    "lstm": [*SHORT, "--d-input", "3", "--d-hidden", "5", "--n-layers", "2"],
    "gru": [*SHORT, "--d-input", "3", "--d-hidden", "5"],
    "self-attention": [*SHORT, "--d-model", "6"],
    "multi-head-attention": [*SHORT, *"--d-model 6 --n-heads 2 --n-layers 1".split()],
    "transformer": [*SHORT, *"--d-model 6 --n-heads 2 --n-layers 1".split()],
}
TRAINED = [name for name in SMALL if KINDS[name].make]


@pytest.fixture
def text(tmp_path):
    """A file of 60 lines, each a paragraph; now and then with a word of its own."""
    words = ["so", "a", "rabbit", "and", "the", "turtle", "ran", "slept"]
    draw = torch.randint(len(words), (60, 9), generator=generator(0, "text")).tolist()
    paragraphs = [" ".join(words[number] for number in row) for row in draw]
    paragraphs[::5] = [
        f"{paragraph} {n}" for n, paragraph in enumerate(paragraphs[::5])
    ]
    path = tmp_path / "tales.txt"
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


@pytest.fixture
def call(text, tmp_path, capsys, monkeypatch):
    """Call the command on the text, in a folder of its own; gives status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def called(model, *arguments, folder="folder"):
        end = [] if folder is None else ["--folder", folder]
        try:
            status = main([model, "--text", str(text), *arguments, *end])
        except SystemExit as exit:
            status = exit.code
        return status, *capsys.readouterr()

    return called


def record_in(folder) -> dict:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


# ---- from the text to the figures ----------------------------------------------------------------


@pytest.mark.parametrize("model", SMALL)
def test_every_model_trains_reports_and_writes(call, tmp_path, model):
    arguments = [*SMALL[model], "--samples", "2", "--max-new-tokens", "7"]
    status, out, err = call(model, *arguments, folder=None)
    assert status == 0, err
    folder = tmp_path / "runs" / f"{model}-tales"
    figures = record_in(folder)["figures"]
    for side, column in (("model", 0), ("bar", 1)):
        for name, unit in (("bits_per_token", "token"), ("bits_per_character", "char")):
            numbers = re.search(rf"bits per {unit}\D*(\S+)\s+(\S+)", out).groups()
            assert float(numbers[column]) == pytest.approx(
                figures[side][name], abs=6e-4
            )
    bar = "unigram" if model == "n-gram" else "n-gram, order "
    assert figures["bar"]["name"].startswith(bar)
    assert out.count("Sample ") == 2
    assert (folder / "checkpoint.safetensors").exists() == (model in TRAINED)
    # The same once more: nothing is trained, and the same is said.
    again = call(model, *arguments, folder=None)
    there = "In the last call"
    assert again[:1] == (0,)
    assert re.sub(there + ".*", "", again[1]) == re.sub(there + ".*", "", out)


@pytest.mark.parametrize(("tokens", "size"), [("characters", 12), ("words", 9)])
def test_the_figures_are_those_of_the_held_out_part(call, text, tmp_path, tokens, size):
    arguments = f"--tokens {tokens} --context-length 8 --vocab-size {size}".split()
    status, out, err = call("lstm", *SMALL["lstm"], *arguments)
    assert status == 0, err
    record = record_in(tmp_path / "folder")
    kind = {"characters": CharTokenizer, "words": WordTokenizer}[tokens]
    tokenizer = kind(record["vocabulary"][3:], open_vocabulary=True)
    assert tokenizer.vocab_size == size
    texts = {part: [] for part in ("train", "dev", "test")}
    for document in documents(text):
        texts[part_of(document)].append(document)
    assert record["documents"] == {part: len(texts[part]) for part in texts}
    split = tokenizer.split
    known = Counter(token for document in texts["train"] for token in split(document))
    frequent = [token for token, _ in known.most_common(size - 3)]
    assert list(tokenizer.tokens[3:]) == frequent
    pieces = {
        part: [piece for one in texts[part] for piece in cut(tokenizer.encode(one), 8)]
        for part in texts
    }
    options = parse(["lstm", "--text", str(text), *SMALL["lstm"]])
    model = made_model(options, size)
    saved = load_file(tmp_path / "folder" / "checkpoint.safetensors")
    model.load_state_dict(training.part_of(saved, "best.model."))
    figures = record["figures"]
    bits = cross_entropy(model, pieces["test"])
    assert figures["model"]["bits_per_token"] == pytest.approx(bits, abs=1e-5)
    assert figures["model"]["perplexity"] == pytest.approx(2**bits, rel=1e-5)
    n_tokens = sum(len(piece) - 1 for piece in pieces["test"])
    n_characters = sum(len(one) + 1 for one in texts["test"])
    assert figures["model"]["bits_per_character"] == pytest.approx(
        bits * n_tokens / n_characters, abs=1e-5
    )
    bars = [
        ModifiedKneserNey(order, size).fit(pieces["train"])
        for order in range(1, int(figures["bar"]["name"].split()[-1]) + 1)
    ]
    best = min(bars, key=lambda bar: cross_entropy(bar, pieces["dev"]))
    assert best is bars[-1]
    assert figures["bar"]["bits_per_token"] == pytest.approx(
        cross_entropy(best, pieces["test"]), abs=1e-9
    )
    n_unknown = sum(piece.count(2) for piece in pieces["test"])
    assert figures["unknown"] == pytest.approx(n_unknown / n_tokens)
    assert n_unknown > 0


def test_the_order_may_be_given(call, tmp_path):
    assert call("n-gram", "--order", "2", "--samples", "0")[0] == 0
    figures = record_in(tmp_path / "folder")["figures"]
    assert figures["model"]["name"] == "n-gram, order 2"


def test_the_order_grows_while_that_helps():
    sentences = [[0, 2, 3, 2, 4, 1], [0, 3, 2, 4, 1]] * 5
    bits = [
        cross_entropy(ModifiedKneserNey(order, 5).fit(sentences), sentences[:2])
        for order in range(1, 9)
    ]
    chosen = chosen_n_gram(sentences, sentences[:2], 5).order
    assert all(a > b for a, b in zip(bits[: chosen - 1], bits[1:chosen], strict=True))
    assert chosen == 8 or bits[chosen] >= bits[chosen - 1]


# ---- runs that go on -----------------------------------------------------------------------------


def test_a_bar_that_reads_less_than_all_is_told(call, tmp_path, monkeypatch):
    monkeypatch.setattr(command_module, "BAR_TOKENS", 200)
    _, printed, _ = call("unigram")
    n_tokens = record_in(tmp_path / "folder")["figures"]["bar_tokens"]
    assert 100 < n_tokens <= 200
    assert f"learned from the first {n_tokens} tokens only." in printed
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "only." not in call("unigram", folder="another")[1]


def interrupted_at(monkeypatch, n_steps):
    """Let Ctrl-C be pressed before a step."""
    take_step, steps = training.take_step, iter(range(n_steps))

    def until_interrupted(*arguments):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return take_step(*arguments)

    monkeypatch.setattr(training, "take_step", until_interrupted)


@pytest.mark.usefixtures("runs_go_on")
@pytest.mark.parametrize("model", ("gru", "transformer"))
def test_an_interrupted_run_goes_on_and_ends_the_same(
    call, monkeypatch, tmp_path, model
):
    arguments = [*SMALL[model], "--dropout", "0.3"]
    assert call(model, *arguments, folder="whole")[0] == 0
    with monkeypatch.context() as patch:
        interrupted_at(patch, 5)  # saved after 2 and 4
        status, out, err = call(model, *arguments, folder="again")
    assert (status, out) == (130, "")
    assert "goes on from the last checkpoint in again" in err
    torch.manual_seed(99)
    status, out, err = call(model, *arguments, folder="again")
    assert status == 0, err
    whole, again = (
        load_file(tmp_path / name / "checkpoint.safetensors")
        for name in ("whole", "again")
    )
    for tensors in (whole, again):
        del tensors["chance.cpu"]  # drawn anew at each step, from its number
    torch.testing.assert_close(again, whole, rtol=0, atol=0)
    first, second = (
        record_in(tmp_path / name)["figures"] for name in ("whole", "again")
    )
    assert second.pop("speed")["tokens"] < first.pop("speed")["tokens"]
    assert first == second


def test_an_interruption_before_the_first_checkpoint_says_so(call, monkeypatch):
    interrupted_at(monkeypatch, 1)
    status, _, err = call("gru", *SMALL["gru"])
    assert status == 130
    assert "stopped before the first checkpoint (one every 2 steps)" in err


# One process after the other runs the command, each killed a little later than the one before.
# They save piece by piece, so that most of their time goes into saving.
KILLED_AGAIN_AND_AGAIN = """
import os, shutil, signal, sys, time
import torch
import torch._dynamo  # what an optimizer asks for: here once, not in every child
from safetensors.torch import save
from lmcourse import training
from lmcourse.training.command import main

def save_file(tensors, path, metadata):
    content = save(tensors, metadata)
    with open(path, "wb", buffering=0) as file:
        for start in range(0, len(content), 2_000):
            file.write(content[start : start + 2_000])

torch.set_num_threads(1)
training.save_file = save_file
folder, *arguments = sys.argv[1:]
saved = os.path.join(folder, "checkpoint.safetensors")
for delay in range(10):
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        os._exit(main(arguments))
    before = os.stat(saved).st_mtime_ns if os.path.exists(saved) else 0
    while not os.path.exists(saved) or os.stat(saved).st_mtime_ns == before:
        time.sleep(0.001)
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended by itself"
    time.sleep(0.002 * delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    shutil.copy(saved, f"{saved}.{delay}")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_killed_command_leaves_whole_files_and_goes_on(call, text, tmp_path):
    folder = tmp_path / "killed"
    many = "--steps 400 --save-every 1 --evaluate-every 200 --batch-size 2 --device cpu"
    arguments = [*many.split(), "--d-input", "40", "--d-hidden", "90", "--samples", "0"]
    command = [sys.executable, "-c", KILLED_AGAIN_AND_AGAIN, str(folder), "gru"]
    command += ["--text", str(text), "--folder", str(folder), *arguments]
    subprocess.run(command, check=True, timeout=600)
    steps = []
    for delay in range(10):
        tensors = load_file(folder / f"checkpoint.safetensors.{delay}")
        steps.append(int(tensors["model.step"]))
        # Every part is of one step: the optimizer counts for itself.
        assert {int(tensors[f"optimizer.{index}.step"]) for index in range(7)} == {
            steps[-1]
        }
    assert steps == sorted(set(steps))  # each went on where the one before was saved
    assert record_in(folder)["figures"] is None


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (["--steps", "7"], "steps is 6 there and 7 here"),
        (["--lr", "0.5"], "lr is 0.003 there and 0.5 here"),
        (["--d-hidden", "6"], "d_hidden is 5 there and 6 here"),
        (["--seed", "1"], "seed is 0 there and 1 here"),
        (["--lines"], "lines is False there and True here"),
        (["--bf16"], "bf16 is False there and True here"),
    ],
    ids=lambda other: other[0] if isinstance(other, list) else "",
)
def test_another_run_in_the_folder_is_left_alone(call, tmp_path, other, difference):
    assert call("gru", *SMALL["gru"])[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "folder").iterdir()}
    status, out, err = call("gru", *SMALL["gru"], *other)
    assert (status, out) == (2, "")
    assert f"folder holds another run: {difference}; give another --folder" in err
    assert {path: path.read_bytes() for path in before} == before


def test_another_text_or_model_in_the_folder_is_refused(call, text):
    assert call("unigram")[0] == 0
    assert "model is unigram there and n-gram here" in call("n-gram")[2]
    text.write_text(text.read_text(encoding="utf-8") + "\n\nand more", encoding="utf-8")
    status, _, err = call("unigram")
    assert status == 2
    assert re.search(r"the SHA-256 of the text is \w{64} there and \w{64} here", err)


@pytest.mark.parametrize("content", ("", "{}", "[]", '{"settings": 3}'))
def test_a_record_that_is_none_is_refused(call, tmp_path, content):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "run.json").write_text(content, encoding="utf-8")
    status, _, err = call("unigram")
    assert status == 2 and "run.json is no record of a run" in err
    assert (tmp_path / "folder" / "run.json").read_text(encoding="utf-8") == content


def test_a_checkpoint_that_is_none_is_refused(call, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "checkpoint.safetensors").write_bytes(b"no tensors")
    status, _, err = call("gru", *SMALL["gru"])
    assert status == 2 and "is no checkpoint of a training run" in err
    assert "Traceback" not in err


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bert"], "bert fills blanks and continues no text, .*; take transformer"),
        (["gpt"], "'gpt' is no model; there are: unigram, n-gram, rnn"),
        (["lstm", "--order", "3"], "--order: lstm has no such size; .* have: n-gram"),
        (["n-gram", "--d-model", "8"], "--d-model: n-gram has no such size"),
        (["self-attention", "--n-layers", "2"], "--n-layers: self-attention has no"),
        (["self-attention", "--dropout", "0.1"], "--dropout: self-attention has no"),
        (["unigram", "--order", "2"], "--order: unigram has no such size"),
        (["n-gram", "--steps", "9"], "--steps: n-gram is counted, not trained"),
        (["unigram", "--bf16"], "--bf16: unigram is counted, not trained"),
        (["gru", "--compile"], "--compile: gru reads step by step"),
        (["gru", "--steps", "0"], "'0'; it must be a whole number, at least 1"),
        (["gru", "--steps", "many"], "'many'; it must be a whole number"),
        (["gru", "--lr", "0"], "'0'; it must be a number above 0, and finite"),
        (["gru", "--lr", "nan"], "'nan'; it must be a number above 0"),
        (["gru", "--dropout", "1"], "'1'; it must be a number at least 0 and below 1"),
        (["gru", "--temperature", "-1"], "'-1'; it must be a number at least 0"),
        (["gru", "--vocab-size", "3"], "'3'; it must be a whole number, at least 4"),
        (["gru", "--tokens", "bytes"], "invalid choice: 'bytes'"),
        (["transformer", "--d-model", "9"], "d_model=9 is not divisible by n_heads=4"),
        (["self-attention", "--d-model", "9"], "d_model=9; .* it must be even"),
        (["gru", "--device", "cuda"], "--device cuda: this machine has none"),
    ],
    ids=" ".join,
)
def test_what_does_not_fit_is_refused_in_one_sentence(
    call, monkeypatch, arguments, message
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if arguments[0] == "self-attention" and "9" in arguments:
        arguments = [*arguments, *SHORT]
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert re.search(message, err.splitlines()[-1])
    assert err.splitlines()[-1].startswith("python -m lmcourse.training: error: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file .*tales.txt: check the spelling and the folder"),
        (b"", "has 0 paragraphs, which leave nothing for train and dev and test"),
        (b"one\n\ntwo\n", "has 2 paragraphs, .*; take a longer text, or --lines"),
        (b"caf\xe9\n", "is not a UTF-8 text: byte 0xe9 at position 3"),
        (b"a\0b\n", "is not a text: byte 0x00 at position 1"),
    ],
)
def test_a_text_that_does_not_do_is_refused_in_one_sentence(
    call, text, content, message
):
    text.unlink()
    if content is not None:
        text.write_bytes(content)
    status, out, err = call("gru", *SMALL["gru"])
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert re.search(f"^python -m lmcourse.training: error: .*{message}", line)


def test_a_folder_that_is_a_file_is_refused(call, tmp_path):
    (tmp_path / "folder").write_text("mine", encoding="utf-8")
    status, _, err = call("unigram")
    assert status == 2 and "Traceback" not in err
    assert (tmp_path / "folder").read_text(encoding="utf-8") == "mine"


def test_a_loss_that_is_no_number_is_one_sentence(call):
    status, _, err = call("self-attention", *SMALL["self-attention"], "--lr", "1e30")
    assert status == 2 and "a lower lr than 1e+30" in err.splitlines()[-1]


# ---- samples and speed ---------------------------------------------------------------------------


def test_samples_begin_with_the_prompt(call):
    arguments = [*SMALL["transformer"], "--prompt", "the tur", "--max-new-tokens", "4"]
    _, out, _ = call("transformer", *arguments, "--samples", "2")
    samples = re.findall(r"^Sample \d: (.*)$", out, re.MULTILINE)
    assert len(samples) == 2
    assert all(s.startswith("the tur") and len(s) <= 11 for s in samples)
    _, out, _ = call("transformer", *arguments, "--temperature", "0")
    assert len(set(re.findall(r"^Sample \d: (.*)$", out, re.MULTILINE))) == 1


def test_a_prompt_that_is_not_known_is_told(call):
    _, out, err = call("unigram", "--prompt", "한", "--samples", "1")
    assert "Sample 1: <unk>" in out
    assert "what the model does not know is read as <unk>" in err


def test_bf16_trains_and_is_measured_in_full(call, tmp_path):
    status, _, err = call("transformer", *SMALL["transformer"], "--bf16")
    assert status == 0, err
    saved = load_file(tmp_path / "folder" / "checkpoint.safetensors")
    weights = training.part_of(saved, "model.model.")  # in Bfloat16, in the replica
    assert {part.dtype for part in weights.values()} == {torch.float32}


def test_compile_asks_for_one_translation_of_all_lengths(call, monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: asked.append(how))
    status, out, err = call("transformer", *SMALL["transformer"], "--compile")
    assert status == 0, err
    assert asked == [{"dynamic": True}]


# ---- help ----------------------------------------------------------------------------------------


def test_help_names_every_option_and_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # no line is broken
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, kind in KINDS.items():
        assert name in text
        for size, default in kind.sizes.items():
            assert f"{name} {default or 'the best on dev'}" in text, size
    for action in parser()._actions:
        assert action.help, action.dest
    for name, default in TRAINING.items():
        assert f"--{name.replace('_', '-')}" in text
        if default:
            assert f"({default})" in text


def test_the_module_runs_as_a_command(text):
    command = [sys.executable, "-m", "lmcourse.training", "bert", "--text", str(text)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 2
    assert "take transformer" in done.stderr and "Traceback" not in done.stderr


# ---- the page "Beyond one machine" ---------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "book" / "beyond_one_machine.md"


def commands_of_the_page() -> list[list[str]]:
    """What stands in its fences, but for the table that it includes."""
    blocks = re.findall(
        r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_page_holds_commands_that_are_accepted(monkeypatch):
    commands = commands_of_the_page()
    assert len(commands) == 5
    for command in commands:
        place = command.index("lmcourse.training")
        options = parse(command[place + 1 :])
        assert (options.model, options.text) == ("transformer", Path("my_text.txt"))
        if command[0] == "torchrun":
            started = get_args_parser().parse_args(command[1:])
            assert started.module and started.training_script == "lmcourse.training"
        else:
            assert command[:place] == ["python", "-m"]
    assert any(parse(c[c.index("lmcourse.training") + 1 :]).bf16 for c in commands)


@pytest.mark.usefixtures("torchrun_starts")
def test_the_commands_of_the_page_run(text, tmp_path):
    """On one machine that plays two, with a small model. The one for GPUs stands out."""
    alone, local, first, second, *_ = commands_of_the_page()
    assert (first[3:5], second[3:5]) == (["--node-rank", "0"], ["--node-rank", "1"])
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]

    def start(command, folder):
        command = " ".join(command).replace("my_text.txt", str(text))
        command = command.replace("10.0.0.1:29500", f"127.0.0.1:{port}")
        if "--nnodes" in command:
            command = command.replace("--nproc-per-node 2", "--nproc-per-node 1")
        command = command.replace("torchrun", "python -m torch.distributed.run")
        arguments = [sys.executable, *command.split()[1:], *SMALL["transformer"]]
        (tmp_path / folder).mkdir(exist_ok=True)
        return subprocess.Popen(
            [*arguments, "--samples", "1"],
            cwd=tmp_path / folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    processes = [
        start(alone, "alone"),
        start(local, "local"),
        start(first, "first"),
        start(second, "second"),
    ]
    try:
        outputs = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, err) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, err
    printed = [out.count("bits per token") for out, _ in outputs]
    assert printed == [1, 1, 1, 0]  # process 0 of all machines speaks
    weights = []
    for folder in ("local", "first"):
        (path,) = (tmp_path / folder).glob("runs/*/checkpoint.safetensors")
        weights.append(load_file(path))
    assert list((tmp_path / "second").iterdir()) == []
    # Two processes are two processes, wherever they run.
    torch.testing.assert_close(*weights, rtol=0, atol=0)
