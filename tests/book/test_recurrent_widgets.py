"""The RNN stepper and the five steps of attention: their numbers against torch, and in a page.

The pages here hold nothing but snapshots and the scripts the book ships.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import re

import pytest
import torch
from torch import nn
from widget_page import alerts, status, tab_to, violations

from lmcourse import attention, pretrained
from lmcourse.data.grammar import NAMES, TEACHING_GRAMMAR
from lmcourse.pretrained.recipes import load
from lmcourse.tokenizers import BOS, EOS
from lmcourse.widgets import AttentionSteps, RNNStepper
from lmcourse.widgets.base import bundle

TOKENS = pretrained.facts("rnn")["tokens"]
SENTENCE = "Anna says that the rabbit near the cats sleeps , agrees"

PAGES = {
    "rnn": lambda: RNNStepper(),
    "compared": lambda: RNNStepper(
        "the rabbit near the cats", other="the rabbits near the cats", unit=5
    ),
    "attention": lambda: AttentionSteps(),
}


def snapshots() -> dict[str, str]:
    """A page for every widget, and pages that cannot work."""
    snapshots = {name: make().snapshot() for name, make in PAGES.items()}
    broken = (
        RNNStepper().snapshot().replace('"weights_name":"rnn"', '"weights_name":"x"')
    )
    return snapshots | {"broken": broken}


def cells(page, name: str, row: str) -> list[str]:
    """The cells of a row of a table, by the beginnings of their names."""
    table = page.get_by_role("table", name=name)
    header = table.get_by_role("rowheader", name=row)
    return header.first.locator("xpath=..").get_by_role("cell").all_inner_texts()


# ------------------------------------------------------------------------- in light and dark


def play(page, name: str) -> None:
    """A little use of every widget, so that what appears later is looked at too."""
    if name == "attention":
        for step in ("2 Softmax", "3 Weighted sum", "4 Next word", "5 Learn"):
            page.get_by_role("button", name=step).click()
        page.get_by_role("button", name="Repeat 10 times").click()
        page.get_by_label("the may be attended to").uncheck()
        page.get_by_role("button", name="One step", exact=True).click()
    else:
        page.get_by_text("words of the teaching language").last.click()
        page.get_by_role("button", name="Back").click()
        page.get_by_role("button", name="unit").first.click()
        page.get_by_role("radio", name="cell state").check()
        page.get_by_label("A sentence of the teaching language").fill("the rabit ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", PAGES)
def test_no_error_no_overflow_nothing_for_axe(visit, name, width, scheme):
    page = visit(name, width=width, scheme=scheme)
    assert page.locator(".lmcourse-widget:not([data-state=live])").count() == 0
    assert violations(page) == []
    play(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


@pytest.mark.parametrize("step", range(1, 6))
def test_every_step_of_attention_fits_a_telephone(visit, step):
    page = visit("attention", width=360)
    page.get_by_role("button", name=re.compile(f"^{step} ")).click()
    for kind in ("dot", "general", "additive"):
        page.get_by_label("Kind of score").select_option(kind)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("name", PAGES)
def test_over_http_too(visit, name):
    page = visit(name, "http")
    play(page, name)
    assert page.log == []


def test_without_scripts_the_fallback_is_read(read_without_scripts):
    page = read_without_scripts("rnn")
    assert page.get_by_role("rowheader", name="rabbit").is_visible()
    page = read_without_scripts("attention")
    assert page.get_by_role("rowheader", name="고양이").is_visible()


# ------------------------------------------------------------------------------------ numbers

IMPORT = """async (sources) => {
    for (const [name, source] of Object.entries(sources)) {
        const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
        globalThis[name] = await import(url);
    }
}"""
READ = """async (sentences) => {
    const file = await lmcourse.weights("rnn");
    const network = stepper.languageModel(forward.readSafetensors(file.bytes));
    return sentences.map((sentence) => {
        const reading = network.read(words.wordsOf(sentence));
        const lists = (name) => reading[name].map((one) => [...one]);
        return {
            hidden: lists("hidden"), cell: lists("cell"), logProbs: lists("logProbs"),
            bits: stepper.surprises(reading),
        };
    });
}"""


def test_the_model_in_the_page_is_the_model_in_torch(visit):
    """torch.nn.LSTM with the same weights, on 20 sentences of the teaching language."""
    page = visit("rnn")
    names = {
        "stepper": "rnn_stepper.js",
        "forward": "forward.js",
        "words": "teaching_words.js",
    }
    page.evaluate(IMPORT, {name: bundle(file) for name, file in names.items()})
    samples = TEACHING_GRAMMAR.sample(20, torch.Generator().manual_seed(3))
    found = page.evaluate(READ, [" ".join(sample.words) for sample in samples])
    model = load("rnn")
    lstm = nn.LSTM(64, 128, batch_first=True)
    lstm.load_state_dict(model.layers.to_torch_state_dict())
    close = functools.partial(torch.testing.assert_close, rtol=0, atol=1e-5)
    for sample, in_page in zip(samples, found, strict=True):
        ids = torch.tensor([[TOKENS.index(word) for word in [BOS, *sample.words]]])
        with torch.no_grad():
            hidden, (_, cell) = lstm(model.embedding(ids))
            log_probs = model.output(hidden).log_softmax(-1)[0]
        close(torch.tensor(in_page["hidden"]), hidden[0])
        close(torch.tensor(in_page["cell"][-1]), cell[0, 0])
        close(torch.tensor(in_page["logProbs"]).exp(), log_probs.exp())
        true = log_probs[:-1].gather(1, ids[0, 1:, None])[:, 0] / -math.log(2)
        close(torch.tensor(in_page["bits"][1:]), true, rtol=1e-5, atol=1e-4)


NUMBERS = {
    "memory": (3, 2),
    "query": (2,),
    "w_query": (2, 2),
    "w_key": (2, 2),
    "vector": (2,),
    "w_general": (2, 2),
    "output": (3, 2),
}
LEARNED = {
    "additive": ["w_query", "w_key", "vector"],
    "dot": [],
    "general": ["w_general"],
}
STEP = """(numbers) => {
    const pass = steps.forwardPass(numbers);
    return { pass, back: steps.backwardPass(numbers, pass), after: steps.descend(numbers) };
}"""


@pytest.mark.parametrize("mask", [[True] * 3, [True, False, True]], ids=["all", "two"])
@pytest.mark.parametrize("score", LEARNED)
def test_the_gradient_by_hand_is_that_of_autograd(visit, score, mask):
    page = visit("attention")
    page.evaluate(IMPORT, {"steps": bundle("attention_steps.js")})
    generator = torch.Generator().manual_seed(5)
    for right in range(3):
        values = {
            name: torch.randn(
                shape, generator=generator, dtype=torch.float64
            ).requires_grad_()
            for name, shape in NUMBERS.items()
        }
        memory, query = values["memory"], values["query"]
        if score == "additive":
            hidden = memory @ values["w_key"].T + values["w_query"] @ query
            scores = hidden.tanh() @ values["vector"]
        else:
            keys = memory @ values["w_general"].T if score == "general" else memory
            scores = keys @ query
        context, weights = attention.attend(
            scores[None], memory[None], torch.tensor([mask])
        )
        logits = values["output"] @ context[0]
        for tensor in (scores, context, weights, logits):
            tensor.retain_grad()
        loss = nn.functional.cross_entropy(logits[None], torch.tensor([right]))
        loss.backward()
        given = {name: value.tolist() for name, value in values.items()}
        given |= {"score": score, "mask": mask, "right": right, "learning_rate": 0.3}
        found = page.evaluate(STEP, given)
        close = functools.partial(torch.testing.assert_close, rtol=0, atol=1e-6)
        double = functools.partial(torch.tensor, dtype=torch.float64)
        assert found["pass"]["loss"] == pytest.approx(loss.item(), abs=1e-6)
        for name, tensor in {
            "scores": scores,
            "weights": weights[0],
            "context": context[0],
            "logits": logits,
        }.items():
            close(double(found["pass"][name]), tensor.detach())
        for name, gradient in {
            "scores": scores.grad,
            "context": context.grad[0],
            "weights": weights.grad[0],
            "logits": logits.grad,
        }.items():
            close(double(found["back"][name]), gradient)
        assert [
            w for w, m in zip(found["pass"]["weights"], mask, strict=True) if not m
        ] == [0 for m in mask if not m]
        assert sorted(found["after"]) == sorted(LEARNED[score])
        for name in LEARNED[score]:
            close(double(found["back"]["parameters"][name]), values[name].grad)
            after = values[name] - 0.3 * values[name].grad
            close(double(found["after"][name]), after.detach())


# -------------------------------------------------------------------------------- RNN stepper


@pytest.fixture(scope="module")
def expected():
    """`expected(sentence)`: for every position the probability of each next word, by torch."""
    model = copy.deepcopy(load("rnn")).double()

    def expected(sentence: str) -> list[dict[str, float]]:
        ids = [TOKENS.index(word) for word in [BOS, *sentence.split()]]
        with torch.no_grad():
            rows = model(torch.tensor([ids]))[0].softmax(-1).tolist()
        return [dict(zip(TOKENS, row, strict=True)) for row in rows]

    return expected


def shown(p: float) -> str:
    return "< 0.001" if p < 0.0005 else "> 0.999" if p > 0.9995 else f"{p:.3f}"


def best(probs: dict[str, float]) -> str:
    return max(probs, key=probs.get)


def choose(page, position: int) -> None:
    page.locator(".lc-rnn-reader label").nth(position).click()


def test_stepper_by_mouse(visit, expected):
    page = visit("rnn")
    probs = expected(SENTENCE)
    name = best({word: probs[-1][word] for word in NAMES})
    assert f"After “… sleeps , agrees” the likeliest next word is “{name}”" in status(
        page
    )
    assert "A name is due: the 30 names share" in status(page)
    assert "This is the end of the text." in status(page)
    choose(page, 8)
    assert f"(“{best(probs[8])}”" not in status(page)
    assert (
        f"After “… near the cats” the likeliest next word is “{best(probs[8])}” ("
        in (status(page))
    )
    came = probs[8]["sleeps"]
    assert (
        f"Then came “sleeps”: probability {shown(came)}, {-math.log2(came):.1f} bits."
        in (status(page))
    )
    assert cells(page, "The next word", "sleeps") == [shown(came)]
    for kind, number in (("singular", "sg"), ("plural", "pl")):
        words = [
            w
            for k in ("Vt", "Vi")
            for (w,), _ in TEACHING_GRAMMAR.rules[f"{k}_{number}"]
        ]
        mass = sum(probs[8][word] for word in words)
        assert cells(page, "The same by kind", kind) == [shown(mass)]
        assert f"{kind} " in status(page) and shown(mass) in status(page)
    bits = [-math.log2(probs[i][word]) for i, word in enumerate(SENTENCE.split())]
    small = page.locator(".lc-rnn-reader small").all_inner_texts()
    assert small[1:] == [f"{one:.1f}" for one in bits]
    text = page.inner_text("main")
    assert (
        f"{sum(bits):.1f} bits for 11 words, {sum(bits) / 11:.2f} bits per word" in text
    )
    assert f"would cost {-math.log2(probs[-1][EOS]):.1f} bits more" in text
    page.get_by_role("button", name="Back").click()
    assert "7 of 11 words read" in page.inner_text("main")
    page.get_by_label("words read").fill("0")
    assert "After nothing the likeliest next word is “the”" in status(page)
    assert page.get_by_role("button", name="Back").is_disabled()


def test_stepper_by_keyboard(visit, expected):
    page = visit("rnn")
    tab_to(page, page.get_by_label("A sentence of the teaching language"))
    page.keyboard.press("Control+A")
    page.keyboard.type("The mice,sle")  # capitals and commas are put right
    assert alerts(page) == ""
    assert "After “the mice ,” the likeliest" in status(page)
    tab_to(page, page.get_by_role("group", name="Go on").get_by_role("button"))
    first = best(
        {w: p for w, p in expected("the mice ,")[-1].items() if w.startswith("sle")}
    )
    page.keyboard.press("Enter")
    assert f"After “… mice , {first}” the likeliest" in status(page)
    assert page.get_by_label("A sentence of the").input_value() == f"the mice , {first}"
    tab_to(page, page.get_by_role("radio", name=re.compile("^sle")))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "After “the mice” the likeliest" in status(page)
    tab_to(page, page.get_by_role("slider"))
    page.keyboard.press("Home")
    assert "After nothing the likeliest" in status(page)
    page.keyboard.press("ArrowRight")
    assert "After “the” the likeliest" in status(page)
    tab_to(page, page.get_by_role("button", name="Next word"))
    for _ in range(3):
        page.keyboard.press("Enter")
    assert "This is the end of the text." in status(page)
    # the button has nothing left to do, and its neighbour has the focus
    assert page.evaluate("document.activeElement.textContent") == "Back"


def test_unknown_words_are_said_and_near_ones_named(visit):
    page = visit("rnn")
    field = page.get_by_label("A sentence of the teaching language")
    field.fill("the rabit sleeps")
    assert alerts(page).startswith(
        "“rabit” is none of the 102 words of the teaching language. Near it: rabbit"
    )
    assert field.get_attribute("aria-invalid") == "true"
    assert "After “… sleeps , agrees”" in status(
        page
    )  # the last one that could be read
    field.fill("the rab")
    assert alerts(page) == ""  # still being typed
    assert "After “the” the likeliest" in status(page)
    assert page.get_by_role("group", name="Go on").get_by_role("button").count() == 2
    field.press("Enter")
    assert alerts(page).startswith("“rab” is none of the 102 words")
    field.fill("xylophone zebra")
    assert alerts(page).endswith("language. All of them are listed below.")
    field.fill(" ")
    assert alerts(page) == "Type a word, or choose an example."
    field.fill(" ".join(["the"] * 61))
    assert alerts(page) == "These are 61 words: at most 60 can be read."
    field.fill(" ".join(["the"] * 60))
    assert alerts(page) == ""
    assert (
        page.get_by_role("group", name="Go on")
        .get_by_role("button")
        .first.is_disabled()
    )


def test_what_is_typed_is_only_text(visit):
    page = visit("rnn")
    evil = "<img src=x onerror=document.title='hacked'> __proto__ constructor"
    page.get_by_label("A sentence of the teaching language").fill(evil)
    assert "“<img” is none of the 102 words" in alerts(page)
    page.get_by_text("Compare with a second sentence").click()
    page.get_by_label("Second sentence").fill("constructor " + evil)
    assert "“constructor” is none of the 102 words" in alerts(page)
    assert page.locator(".lmcourse img").count() == 0
    assert page.title() == "Widgets"


def test_two_sentences_side_by_side(visit, expected):
    page = visit("compared")
    one, two = (
        expected(f"the {word} near the cats")[-1] for word in ("rabbit", "rabbits")
    )
    assert cells(page, "The next word", "sleeps") == [
        shown(one["sleeps"]),
        shown(two["sleeps"]),
    ]
    assert "In the second sentence the likeliest next word is" in status(page)
    assert page.locator(".lc-rnn-other").all_inner_texts() == ["rabbits"]
    units = page.get_by_role("group", name="Units that differ most")
    units.get_by_role("button").first.click()
    chosen = units.get_by_role("button").first
    assert chosen.get_attribute("aria-pressed") == "true"
    number = chosen.inner_text().split()[1]
    assert page.get_by_label("Pin a unit").input_value() == number
    field = page.get_by_label("Second sentence")
    field.fill("many")
    assert "It has only 1 word, and is compared at its end." in status(page)
    field.fill("")
    assert "second sentence" not in status(page)
    field.press("Tab")
    page.get_by_role("button", name="Suggest one").click()
    assert field.input_value() == "the rabbits near the cats"  # the example's partner
    page.get_by_label("A sentence of the teaching").fill("every mouse sleeps")
    page.get_by_role("button", name="Suggest one").click()
    assert field.input_value() == "every mice sleeps"
    page.get_by_label("A sentence of the teaching").fill(
        "Dani says that mice , agrees Dani"
    )
    page.get_by_role("button", name="Suggest one").click()
    assert field.input_value() == "Anna says that mice , agrees Anna"
    page.get_by_label("Examples").select_option(index=1)
    assert field.input_value().startswith("Ben says that the rabbits")
    page.get_by_role("button", name="No comparison").click()
    assert page.locator(".lc-rnn-other").count() == 0
    assert "second sentence" not in status(page)


def test_a_pinned_unit_is_drawn_over_the_whole_sentence(visit):
    page = visit("rnn")
    lstm = nn.LSTM(64, 128, batch_first=True)
    model = load("rnn")
    lstm.load_state_dict(model.layers.to_torch_state_dict())
    ids = torch.tensor([[TOKENS.index(word) for word in [BOS, *SENTENCE.split()]]])
    states = [lstm(model.embedding(ids[:, : t + 1]))[1] for t in range(ids.shape[1])]
    page.get_by_label("Pin a unit").select_option("17")
    for part, name in enumerate(("hidden", "cell")):
        page.get_by_role("radio", name=f"{name} state").check()
        label = page.get_by_role("region", name="The pinned unit").get_by_role("img")
        values = [state[part][0, 0, 17].item() for state in states]
        said = [
            float(x.replace("−", "-"))
            for x in re.findall(r" ([+−]?\d+\.\d\d)", label.get_attribute("aria-label"))
        ]
        assert said == pytest.approx(values, abs=0.0051)
        text = page.inner_text("main")
        assert f"Unit 17 of the {name} state; after “agrees” it is" in text
    now, before = (states[i][1][0, 0] for i in (-1, -2))
    order = (now - before).abs().argsort(descending=True)[:5].tolist()
    chips = page.get_by_role("group", name="Changed most").get_by_role("button")
    assert [int(chip.split()[1]) for chip in chips.all_inner_texts()] == order
    chips.nth(1).click()
    assert page.get_by_label("Pin a unit").input_value() == str(order[1])
    page.keyboard.press(
        "Enter"
    )  # the focus stays, and pressing again takes the pin away
    assert page.get_by_label("Pin a unit").input_value() == "-1"
    assert page.get_by_role("region", name="The pinned unit").count() == 0
    page.locator(".lc-rnn-unit").nth(40).click()
    assert page.get_by_label("Pin a unit").input_value() == "40"


def test_missing_weights_are_said(visit):
    page = visit("broken")
    page.wait_for_function("() => document.body.textContent.includes('could not be')")
    assert status(page) == (
        'The trained weights "x" could not be loaded: the file x.weights.js is missing.'
    )
    page.log.clear()  # the missing file is what is tested here


# -------------------------------------------------------------------------- steps of attention


@pytest.fixture
def steps(visit):
    return visit("attention")


def go(page, step: int) -> None:
    page.get_by_role("button", name=re.compile(f"^{step} ")).click()


def formulas(page) -> str:
    return page.locator(".lc-att-detail").inner_text()


def test_steps_by_mouse(steps):
    """A case worked by hand: dot scores 0, ln 2 and ln 4 give the weights 1/7, 2/7 and 4/7."""
    steps.get_by_label("Kind of score").select_option("dot")
    steps.get_by_label("Decoder state, number 1").fill("1")
    steps.get_by_label("Decoder state, number 2").fill("0")
    for word, value in (("the", 0), ("cat", math.log(2)), ("sleeps", math.log(4))):
        steps.get_by_label(f"Encoder output of {word}, number 1").fill(str(value))
        steps.get_by_label(f"Encoder output of {word}, number 2").fill("7")
    assert "“sleeps” has the highest: 1.39." in status(steps)
    assert "e₂ = q · h₂ = 1·0.693 + 0·7 = 0.693" in formulas(steps)
    go(steps, 2)
    assert "α₁ = exp(e₁) / sum = 1 / 7 = 0.143" in formulas(steps)
    assert "sum = 1 + 2 + 4 = 7" in formulas(steps)
    assert "“sleeps” gets the most: 0.571." in status(steps)
    go(steps, 3)
    first = (2 * math.log(2) + 4 * math.log(4)) / 7
    assert f"The context c = ({first:.3g}, 7) is a mean" in status(steps)
    go(steps, 4)
    for k, line in enumerate([(0, 0), (0, math.log(2) / 7), (0, math.log(5) / 7)]):
        for i, value in enumerate(line):
            word = AttentionSteps().targets[k]
            label = f"Output matrix, row of {word}, column {i + 1}"
            steps.get_by_label(label).fill(str(value))
    assert "expects “잔다” next: 0.625." in status(steps)  # 5 / (1 + 2 + 5)
    go(steps, 5)
    assert "nothing to learn here" in status(steps)
    assert steps.get_by_role("button", name="One step", exact=True).is_disabled()


def test_a_masked_word_gets_nothing(steps):
    go(steps, 2)
    steps.get_by_label("cat may be attended to").uncheck()
    assert "Weight exactly 0 for “cat”: masked." in status(steps)
    assert cells(steps, "The source sentence", "cat")[3] == "0"
    for word in ("the", "sleeps"):
        steps.get_by_label(f"{word} may be attended to").uncheck()
    assert status(steps) == (
        "All three words are masked: there is nothing to attend to. "
        "Let at least one be attended to."
    )
    assert formulas(steps) == ""
    steps.get_by_label("the may be attended to").check()
    assert "“the” gets the most: 1." in status(steps)


def test_steps_by_keyboard(steps):
    tab_to(steps, steps.get_by_label("Encoder output of cat, number 1"))
    steps.keyboard.press("Control+A")
    steps.keyboard.type("2")
    steps.keyboard.press("ArrowUp")
    assert steps.get_by_label("Encoder output of cat, number 1").input_value() == "2.1"
    tab_to(steps, steps.get_by_label("cat may be attended to"))
    steps.keyboard.press("Space")
    tab_to(steps, steps.get_by_role("button", name="2 Softmax"))
    steps.keyboard.press("Enter")
    assert "Weight exactly 0 for “cat”: masked." in status(steps)
    tab_to(steps, steps.get_by_role("button", name="5 Learn"))
    steps.keyboard.press("Enter")
    tab_to(steps, steps.get_by_role("button", name="One step", exact=True))
    steps.keyboard.press("Enter")
    assert "After 1 step “고양이” has" in status(steps)


def test_learning_goes_downhill_and_changes_the_score_only(steps):
    def inputs(*names: str) -> list[str]:
        return [
            one.input_value()
            for name in names
            for one in steps.get_by_label(re.compile(f"^{name}")).all()
            if one.evaluate("node => node.type === 'number'")
        ]

    def loss() -> tuple[float, float]:
        before, after = cells(steps, "Before and after", "loss")
        return float(before), float(after)

    go(steps, 5)
    assert "“Re-computing the weights” is gradient descent" in status(steps)
    fixed = inputs("Encoder", "Decoder", "Output")
    learned = inputs("W_query", "W_key", "v, number")
    assert (len(fixed), len(learned)) == (14, 10)
    steps.get_by_role("button", name="One step", exact=True).click()
    start, first = loss()
    assert first < start
    steps.get_by_role("button", name="Repeat 10 times").click()
    assert "After 11 steps “고양이” has" in status(steps)
    assert "only W_query, W_key and v changed" in status(steps)
    assert loss()[0] == start and loss()[1] < first
    assert inputs("Encoder", "Decoder", "Output") == fixed
    assert inputs("W_query", "W_key", "v, number") != learned
    steps.get_by_role("button", name="Undo the learning").click()
    assert inputs("W_query", "W_key", "v, number") == learned
    assert "“Re-computing the weights”" in status(steps)
    steps.get_by_label("The right next word").select_option("2")
    steps.get_by_role("button", name="One step", exact=True).click()
    assert "After 1 step “잔다” has" in status(steps)
    steps.get_by_label("v, number 1").fill(
        "3"
    )  # a number was set: learning begins anew
    assert "“Re-computing the weights”" in status(steps)
    steps.get_by_label("Learning rate", exact=True).fill("100")
    for _ in range(9):
        steps.get_by_role("button", name="Repeat 10 times").click()
        steps.get_by_label("Encoder output of the, number 1").fill("100")
    assert "NaN" not in steps.inner_text("main")
    steps.get_by_role("button", name="Reset all numbers").click()
    assert inputs("Encoder", "Decoder", "Output") == fixed
    assert inputs("W_query", "W_key", "v, number") == learned


def test_a_learning_rate_that_is_too_large_is_said(steps):
    steps.get_by_label("Kind of score").select_option("general")
    steps.get_by_label("Decoder state, number 1").fill("100")
    for place in ("row 1, column 1", "row 2, column 2"):
        steps.get_by_label(f"W, {place}").fill("0")  # even weights: a steep slope
    go(steps, 5)
    steps.get_by_label("Learning rate", exact=True).fill("100")
    steps.get_by_role("button", name="One step", exact=True).click()
    assert alerts(steps) == (
        "A step leads to numbers beyond ±100: the learning rate is too large."
    )
    assert steps.get_by_label("W, row 1, column 1").input_value() == "0"


def test_a_number_out_of_range_is_said_and_not_taken(steps):
    field = steps.get_by_label("W_key, row 2, column 1")
    before = status(steps)
    for value in ("101", "-1e9", ""):
        field.fill(value)
        assert (
            alerts(steps) == "W_key, row 2, column 1: give a number from −100 to 100."
        )
        assert field.get_attribute("aria-invalid") == "true"
        assert status(steps) == before
    field.press("Tab")
    assert field.input_value() == "0.5" and alerts(steps) == ""
    go(steps, 5)
    rate = steps.get_by_label("Learning rate", exact=True)
    rate.fill("0")
    assert alerts(steps) == "Learning rate: give a number from above 0 to 100."


def test_large_scores_do_not_overflow(steps):
    steps.get_by_label("Kind of score").select_option("dot")
    steps.get_by_label("Decoder state, number 1").fill("100")
    steps.get_by_label("Encoder output of cat, number 1").fill("100")
    for step in (2, 3, 4, 5):
        go(steps, step)
        text = steps.inner_text("main")
        assert "NaN" not in text and "∞" not in text


# -------------------------------------------------------------------------------- from Python

WIDGETS = {"rnn": RNNStepper, "attention": AttentionSteps}


@pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
def test_snapshot_is_the_same_every_time_and_holds_the_state(make):
    first, second = make(), make()
    assert first.snapshot() == second.snapshot()
    assert repr(first) == repr(second) and "0x" not in repr(first)
    text = re.search(r'application/json">(.*?)</script>', first.snapshot(), re.S)
    assert json.loads(text[1]) == first.state()
    assert "lmcourse-fallback" in first.snapshot()


def test_stepper_stores_the_hash_and_not_the_weights():
    stepper = RNNStepper()
    assert stepper.state()["weights_sha256"] == pretrained.sha256("rnn")
    assert len(stepper.snapshot()) < 8_000
    assert stepper.state()["names"] == list(NAMES)
    assert len(stepper.singular) == len(stepper.plural) == 14
    assert ["mouse", "mice"] in stepper.nouns


def test_stepper_fallback(expected):
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td></tr>',
        RNNStepper("the rabbit sleeps").fallback(),
    )
    probs = expected("the rabbit sleeps")
    assert [row[0] for row in rows] == ["&lt;s&gt;", "the", "rabbit", "sleeps"]
    assert [row[1] for row in rows] == [
        "",
        *(
            f"{-math.log2(probs[i][word]):.1f}"
            for i, word in enumerate("the rabbit sleeps".split())
        ),
    ]
    assert rows[0][2].startswith(f"the {probs[0]['the']:.1f}, ")
    assert rows[3][2] == f"end {probs[3][EOS]:.1f}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentence": "the rabit"}, "'rabit' is none of the 102 words"),
        ({"sentence": " "}, "' ' has 0 words: give 1 to 60"),
        ({"sentence": "the " * 61}, "has 61 words: give 1 to 60"),
        ({"other": "the </s>"}, "'</s>' is none of the 102 words"),
        ({"position": -1}, "position=-1 is below 0"),
        ({"position": 12}, "position=12, and the sentence has 11 words"),
        ({"unit": 128}, "unit=128 is not between -1 and 127"),
        ({"vector": "gate"}, "vector='gate' is neither 'hidden' nor 'cell'"),
        ({"examples": [["the", "a", "every"]]}, "has 3 sentences: give pairs"),
    ],
)
def test_stepper_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        RNNStepper(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory": [[1.0, 2.0]]}, "memory=[[1.0, 2.0]] is not of shape (3, 2)"),
        ({"w_key": [[1.0, 2.0], [3.0]]}, "is not of shape (2, 2)"),
        (
            {"query": [1.0, 101.0]},
            "query holds 101.0: numbers are between -100 and 100",
        ),
        ({"vector": [math.nan, 1.0]}, "vector holds nan"),
        ({"words": ["a", "b"]}, "words=['a', 'b']: give 3 of str"),
        ({"mask": [1, 0, 1]}, "mask=[1, 0, 1]: give 3 of bool"),
        ({"score": "cosine"}, "score='cosine' is none of additive, dot, general"),
        ({"right": 3}, "right=3 is not between 0 and 2"),
        ({"step": 0}, "step=0 is not between 1 and 5"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 is not above 0 and at most 100"),
    ],
)
def test_steps_refuse(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        AttentionSteps(**arguments)


def test_steps_fallback_has_the_weights_of_the_chapter():
    dot = AttentionSteps(
        score="dot",
        query=[1.0, 0.0],
        memory=[[0, 7], [math.log(2), 7], [math.log(4), 7]],
    )
    text = dot.fallback()
    for word, output, score, weight in [
        ("the", "(0.00, 7.00)", "0.00", "0.14"),
        ("cat", "(0.69, 7.00)", "0.69", "0.29"),
        ("sleeps", "(1.39, 7.00)", "1.39", "0.57"),
    ]:
        row = f"{word}</th><td>{output}</td><td>{score}</td><td>{weight}</td>"
        assert row in text
    general = AttentionSteps(score="general", w_general=[[1.0, 0.0], [0.0, 1.0]])
    same = AttentionSteps(score="dot")
    assert general.fallback().replace("general", "dot") == same.fallback()
    assert "All three words are masked" in AttentionSteps(mask=[False] * 3).fallback()
    masked = AttentionSteps(mask=[True, False, True]).fallback()
    assert re.search(r"cat</th>(<td>[^<]*</td>){2}<td>0.00</td>", masked)
