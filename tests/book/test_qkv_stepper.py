"""The Q-K-V stepper: its numbers against torch, and in a page by mouse and keyboard."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from torch.nn import functional as F
from widget_page import (
    alerts,
    button,
    press,
    status,
    tab_to,
    violations,
)

from lmcourse.widgets import QKVStepper
from lmcourse.widgets.base import bundle, read

WORDS = ["the", "small", "cat", "sleeps"]
NUMBERS = {"hidden": (4, 3), "w_query": (2, 3), "w_key": (2, 3), "w_value": (2, 3)}
STEPS = (
    "1 Query, key, value",
    "2 Scores",
    "3 Scale",
    "4 Weights",
    "5 Output",
)
ALL = [[True] * 4 for _ in range(4)]
CAUSAL = torch.ones(4, 4, dtype=torch.bool).tril().tolist()
IMPORT = """async (source) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    window.stepper = await import(url);
}"""
# What anywidget gives a widget: a state, what was sent to Python, and what comes from there.
MOUNT = """(state) => {
    const listeners = [];
    window.sent = [];
    const changed = new Set();
    const model = {
        get: (name) => state[name],
        set: (name, value) => {
            state[name] = value;
            changed.add(name);
            tell(name);
        },
        save_changes: () => {
            window.sent.push(Object.fromEntries([...changed].map((name) => [name, state[name]])));
            changed.clear();
        },
        on: (event, listener) => listeners.push([event, listener]),
        off: (event, listener) => listeners.splice(
            listeners.findIndex(([name, one]) => name === event && one === listener), 1),
    };
    const tell = (name) => listeners.filter(([event]) => event === `change:${name}`)
        .forEach(([, listener]) => listener());
    window.arrive = (changes) => {
        Object.assign(state, changes);
        Object.keys(changes).forEach(tell);
    };
    window.nListeners = () => listeners.length;
    const el = document.createElement("div");
    document.querySelector("main").replaceChildren(el);
    window.unmount = stepper.default.render({ model, el });
}"""


def snapshots() -> dict[str, str]:
    """A page for every widget, and pages that cannot work."""
    return {"qkv": QKVStepper().snapshot()}


@pytest.fixture
def stepper(visit):
    return visit("qkv")


@pytest.fixture
def mounted(visit):
    """The widget on a model of which the test is the other side; Python's own traits beside it."""
    page = visit("qkv")
    page.evaluate(IMPORT, bundle("qkv_stepper.js"))
    widget = QKVStepper()
    page.evaluate(MOUNT, widget.state())
    return page, widget


def go(page, step: int) -> None:
    button(page, STEPS[step - 1]).click()


def detail(page) -> str:
    return page.locator(".lc-att-detail").inner_text()


def cells(page, name: str, row: str) -> list[str]:
    table = page.get_by_role("table", name=name)
    header = table.get_by_role("rowheader", name=row, exact=True)
    return header.locator("xpath=..").get_by_role("cell").all_inner_texts()


def inputs(page) -> list[str]:
    fields = page.locator("input[type=number]").all()
    boxes = page.locator("input[type=checkbox]").all()
    return [one.input_value() for one in fields] + [str(b.is_checked()) for b in boxes]


# ------------------------------------------------------------------------------------ numbers


def random_settings(n: int):
    stream = torch.Generator().manual_seed(6)
    for i in range(n):
        size = (0.1, 1.0, 5.0, 30.0)[i % 4]
        numbers = {
            name: (
                size * torch.randn(shape, generator=stream, dtype=torch.float64)
            ).clamp(-100, 100)
            for name, shape in NUMBERS.items()
        }
        mask = (
            torch.tensor(ALL),
            torch.tensor(CAUSAL),
            torch.rand(4, 4, generator=stream) < 0.5,
        )[i % 3]
        temperature = (1.0, 0.1, 2.5, 100.0, 0.001)[i % 5]
        yield numbers, mask, temperature, i % 2 == 0


def test_numbers_are_those_of_torch(stepper):
    stepper.evaluate(IMPORT, bundle("qkv_stepper.js"))
    n_empty = n_full = 0
    for numbers, mask, temperature, scaled in random_settings(120):
        given = {name: value.tolist() for name, value in numbers.items()}
        given |= {"mask": mask.tolist(), "temperature": temperature, "scaled": scaled}
        found = stepper.evaluate("(numbers) => stepper.forwardPass(numbers)", given)

        hidden, w_query, w_key, w_value = numbers.values()
        query, key, value = (hidden @ w.T for w in (w_query, w_key, w_value))
        scale = (1 / math.sqrt(2) if scaled else 1.0) / temperature
        for name, tensor in {
            "query": query,
            "key": key,
            "value": value,
            "scores": query @ key.T,
            "divided": query @ key.T * scale,
        }.items():
            torch.testing.assert_close(
                torch.tensor(found[name], dtype=torch.float64), tensor
            )
        possible = mask.any(dim=-1)
        for name, values in {
            "weights": torch.eye(4, dtype=torch.float64),
            "output": value,
        }.items():
            expected = F.scaled_dot_product_attention(
                query[None], key[None], values[None], attn_mask=mask, scale=scale
            )[0]
            for i, row in enumerate(found[name]):
                if not possible[i]:
                    assert row is None
                    continue
                torch.testing.assert_close(
                    torch.tensor(row, dtype=torch.float64),
                    expected[i],
                    rtol=1e-6,
                    atol=1e-6,
                )
        n_empty += int((~possible).sum())
        n_full += int(possible.sum())
    assert n_empty > 5 and n_full > 400


def test_by_mouse_a_case_worked_by_hand(stepper):
    """Scores ln 2, ln 4 and ln 8 give the weights 2/14, 4/14 and 8/14; "the" is masked."""
    for matrix in "qkv":
        for i in range(2):
            for k in range(3):
                label = f"W_{matrix}, row {i + 1}, column {k + 1}"
                stepper.get_by_label(label).fill(str(int(i == k)))
    for i, word in enumerate(WORDS):
        for k, number in enumerate((1, i * math.log(2), 7)):
            stepper.get_by_label(f"x of {word}, number {k + 1}").fill(str(number))
    stepper.get_by_label("x of the, number 1").fill("0")
    stepper.get_by_label("x of the, number 2").fill("1")
    stepper.get_by_label("W_k, row 1, column 1").fill("0")
    button(stepper, "the").click()
    stepper.get_by_label("divide by").uncheck()
    assert "“the” asks with its query (0, 1)." in status(stepper)
    assert "q₁ = Wq x₁ = (1·0 + 0·1 + 0·7, 0·0 + 1·1 + 0·7) = (0, 1)" in detail(stepper)
    go(stepper, 2)
    assert "small: q₁ · k₂ = 0·0 + 1·0.693 = 0.693" in detail(stepper)
    assert "The query of “the” fits the key of “sleeps” best: score 2.08." in status(
        stepper
    )
    assert cells(stepper, "Scores, not divided", "the") == [
        "1",
        "0.693",
        "1.39",
        "2.08",
    ]
    go(stepper, 3)
    assert "The square root is switched off." in status(stepper)
    assert "That changes nothing." in status(stepper)
    stepper.get_by_label("Temperature").fill("0.5")
    assert "cat: e₁₃ = q₁ · k₃ / T = 1.39 / 0.5 = 2.77" in detail(stepper)
    assert "The differences between them become larger." in status(stepper)
    stepper.get_by_label("divide by").check()
    assert "cat: e₁₃ = q₁ · k₃ / (√dk · T) = 1.39 / (1.41·0.5) = 1.96" in detail(
        stepper
    )
    stepper.get_by_label("divide by").uncheck()
    stepper.get_by_label("Temperature").fill("1")
    go(stepper, 4)
    stepper.get_by_label("the may attend to the").uncheck()
    assert "α₁₁ = 0\nMasked: it takes no part in the sum." in detail(stepper)
    assert "sum = 2 + 4 + 8 = 14" in detail(stepper)
    assert "α₁₃ = exp(e₁₃) / sum = 4 / 14 = 0.286" in detail(stepper)
    assert cells(stepper, "Weights", "the") == ["0", "0.143", "0.286", "0.571"]
    assert "“the” looks most at “sleeps”: 0.571." in status(stepper)
    assert "Weight exactly 0 for “the”: masked." in status(stepper)
    go(stepper, 5)
    second = sum(2**i * i * math.log(2) for i in (1, 2, 3)) / 14
    assert cells(stepper, "Output", "the") == ["(0.00, 1.00)", f"(1.00, {second:.2f})"]
    assert f"The output of “the” is (1, {second:.3g}): the mean" in status(stepper)
    assert "α₁₄ v₄ = 0.571·(1, 2.08) = (0.571, 1.19)" in detail(stepper)
    assert detail(stepper).endswith(f"= (1, {second:.3g})")


def test_equal_weights_are_said(stepper):
    for k in (1, 2, 3):
        stepper.get_by_label(f"x of sleeps, number {k}").fill("0")
    go(stepper, 2)
    every = "“the”, “small”, “cat” and “sleeps”"
    assert f"“sleeps” fits the keys of {every} equally well: score 0." in status(
        stepper
    )
    go(stepper, 4)
    assert f"“sleeps” looks equally at {every}: 0.25 each." in status(stepper)
    go(stepper, 5)
    assert f"The values of {every} count most, with equal weights: 0.25." in status(
        stepper
    )


# ----------------------------------------------------------------------------- mask, settings


def test_causal_mask_and_single_cells(stepper):
    go(stepper, 4)
    button(stepper, "Causal").click()
    assert button(stepper, "Causal").get_attribute("aria-pressed") == "true"
    assert button(stepper, "None").get_attribute("aria-pressed") == "false"
    for i, row in enumerate(WORDS):
        for j, column in enumerate(WORDS):
            box = stepper.get_by_label(f"{row} may attend to {column}", exact=True)
            assert box.is_checked() == (j <= i)
            assert (cells(stepper, "Weights", row)[j] == "0") == (j > i)
    button(stepper, "the").click()
    assert "“the” looks only at “the”: 1." in status(stepper)
    stepper.get_by_label("sleeps may attend to cat").uncheck()
    assert button(stepper, "Causal").get_attribute("aria-pressed") == "false"
    assert cells(stepper, "Weights", "sleeps")[2] == "0"
    button(stepper, "None").click()
    assert "0" not in cells(stepper, "Weights", "the")


def test_a_row_without_any_word_to_attend_to(stepper):
    go(stepper, 4)
    button(stepper, "cat").click()
    for word in WORDS:
        stepper.get_by_label(f"cat may attend to {word}").uncheck()
    said = (
        "“cat” may attend to no word: it has no weights and no output. "
        "Allow it at least one word in step 4."
    )
    for step in (4, 5):
        go(stepper, step)
        assert status(stepper).strip() == said
        assert detail(stepper) == ""
        assert cells(stepper, "Weights", "cat") == ["–"] * 4
        assert "NaN" not in stepper.inner_text("main")
    assert cells(stepper, "Output", "cat")[-1] == "–"
    assert cells(stepper, "Output", "the")[-1] != "–"
    stepper.get_by_role("button", name="Swap").click()  # the mask is not even now
    assert "not every word has the output that it had before" in status(stepper)
    go(stepper, 4)
    stepper.get_by_label("small may attend to cat").check()
    button(stepper, "small").click()
    assert "“small” may attend to no word" not in status(stepper)


def test_dictionary_looks_values_up(stepper):
    button(stepper, "A dictionary").click()
    assert "as in a dictionary" in status(stepper)
    assert "“sleeps” looks most at “the”: 0.998." in status(stepper)
    looked_up = dict(zip(WORDS, [*WORDS[1:], "the"], strict=True))
    for word, other in looked_up.items():
        button(stepper, word).click()
        go(stepper, 1)
        assert f"Its query equals the key of “{other}”." in status(stepper)
        assert "as in a dictionary" in status(
            stepper
        )  # as long as no number is changed
        go(stepper, 5)
        value = cells(stepper, "Output", other)[0]
        output = cells(stepper, "Output", word)[1]
        numbers = [
            [float(x.replace("−", "-")) for x in re.findall(r"[−\d.]+", text)]
            for text in (value, output)
        ]
        assert numbers[1] == pytest.approx(numbers[0], rel=0.01)
    stepper.get_by_label("Temperature").fill("2")
    assert "as in a dictionary" not in status(stepper)
    assert cells(stepper, "Output", "sleeps")[1] != "(1.00, 10.00)"


def test_large_vectors_saturate(stepper):
    button(stepper, "Large vectors").click()
    assert not stepper.get_by_label("divide by").is_checked()
    text = status(stepper)
    weight = float(re.search(r"“the” looks most at “cat”: ([\d.]+)\.", text)[1])
    rooted = re.search(r"With the square root it would be ([\d.]+)\.", text)[1]
    slope = float(re.search(r"its slope α\(1 − α\) is ([\d.]+)\.", text)[1])
    assert 0.99 < weight < 1 and slope == pytest.approx(weight * (1 - weight), rel=0.05)
    stepper.get_by_label("divide by").check()
    assert f"“the” looks most at “cat”: {rooted}." in status(stepper)
    assert "With the square root" not in status(stepper)
    button(stepper, "sleeps").click()
    assert "“sleeps” looks most at “cat”: almost 1." in status(stepper)


def test_large_vectors_are_the_first_ones_doubled(stepper):
    first = QKVStepper()
    button(stepper, "Large vectors").click()
    for label, name, times in (
        ("x of", "hidden", 2),
        ("W_q", "w_query", 1),
        ("W_k", "w_key", 1),
        ("W_v", "w_value", 1),
    ):
        shown = [
            float(one.input_value())
            for one in stepper.locator(f'input[aria-label^="{label}"]').all()
        ]
        trait = getattr(first, name)
        assert shown == [times * number for line in trait for number in line]


def test_a_swap_takes_the_outputs_along_and_a_causal_mask_does_not(stepper):
    go(stepper, 5)
    before = {word: cells(stepper, "Output", word)[1] for word in WORDS}
    assert len(set(before.values())) == 4
    button(stepper, "Swap “small” and “cat”").click()
    assert "each word has the output that it had before" in status(stepper)
    heads = stepper.get_by_role("table", name="Output").get_by_role("rowheader")
    assert heads.all_inner_texts() == ["the", "cat", "small", "sleeps"]
    for place, word in enumerate(["the", "cat", "small", "sleeps"]):
        now, was = cells(stepper, "Output", word)
        assert now == before[word]
        assert was == f"{WORDS[place]} {before[WORDS[place]]}"
    assert stepper.get_by_label("x of cat, number 1").input_value() == "2"
    button(stepper, "Swap “cat” and “small”").click()  # and back
    button(stepper, "Causal").click()
    assert "changed places" not in status(stepper)
    before = {word: cells(stepper, "Output", word)[1] for word in WORDS}
    button(stepper, "Swap “small” and “cat”").click()
    assert "the mask belongs to the places, not to the words" in status(stepper)
    now = {word: cells(stepper, "Output", word)[0] for word in WORDS}
    changed = [word for word in WORDS if now[word] != before[word]]
    assert changed == ["small", "cat"]


@pytest.mark.parametrize("name", ["A dictionary", "Large vectors", "Swap", "Causal"])
def test_start_again(stepper, name):
    first, text = inputs(stepper), stepper.inner_text("main")
    stepper.get_by_role("button", name=name).click()
    stepper.get_by_label("W_k, row 2, column 3").fill("-7.5")
    stepper.get_by_label("Temperature").fill("")
    button(stepper, "the").click()
    assert inputs(stepper) != first
    button(stepper, "Start again").click()
    assert inputs(stepper) == first
    stepper.mouse.move(0, 0)
    assert stepper.inner_text("main") == text


# ------------------------------------------------------------------------ what readers type


def test_by_keyboard(stepper):
    tab_to(stepper, stepper.get_by_label("x of cat, number 1"))
    stepper.keyboard.press("Control+A")
    stepper.keyboard.type("-0.5")
    stepper.keyboard.press("ArrowUp")
    assert stepper.get_by_label("x of cat, number 1").input_value() == "-0.4"
    press(stepper, "2 Scores")
    assert cells(stepper, "Scores, not divided", "sleeps")[2] == "−0.8"
    press(stepper, "4 Weights")
    tab_to(stepper, stepper.get_by_label("sleeps may attend to small"))
    stepper.keyboard.press("Space")
    assert stepper.evaluate("document.activeElement.ariaLabel") == (
        "sleeps may attend to small"
    )
    assert "Weight exactly 0 for “small”: masked." in status(stepper)
    tab_to(stepper, stepper.get_by_label("divide by"))
    stepper.keyboard.press("Space")
    assert "With the square root it would be" in status(stepper)
    tab_to(stepper, stepper.get_by_label("Temperature"))
    stepper.keyboard.press("ArrowDown")
    assert stepper.get_by_label("Temperature").input_value() == "0.9"
    press(stepper, "the", "Space")
    assert "“the” looks" in status(stepper)
    press(stepper, "Causal")
    assert "“the” looks only at “the”: 1." in status(stepper)
    press(stepper, "A dictionary")
    press(stepper, "Swap “small” and “cat”")
    press(stepper, "Start again")
    assert stepper.get_by_label("x of cat, number 1").input_value() == "2"


def test_a_number_that_is_none_is_said_and_not_taken(stepper):
    go(stepper, 4)
    field = stepper.get_by_label("W_k, row 1, column 2")
    before = cells(stepper, "Weights", "sleeps"), status(stepper)
    for value in ("", "101", "1e9", "-1e9", "-100.5"):
        field.fill(value)
        assert (
            alerts(stepper) == "W_k, row 1, column 2: give a number from −100 to 100."
        )
        assert field.get_attribute("aria-invalid") == "true"
        assert (cells(stepper, "Weights", "sleeps"), status(stepper)) == before
    field.press("Control+A")
    field.press_sequentially("e--")  # letters
    assert "W_k, row 1, column 2" in alerts(stepper)
    field.press("Tab")
    assert field.input_value() == "0"  # and the message stays until the next edit
    said = "W_k, row 1, column 2: give a number from −100 to 100. It is 0 again."
    assert alerts(stepper) == said
    go(stepper, 3)
    go(stepper, 4)
    assert alerts(stepper) == said
    assert field.get_attribute("aria-invalid") == "false"
    field.fill("100")
    assert alerts(stepper) == "" and status(stepper) != before[1]
    temperature = stepper.get_by_label("Temperature")
    for value in ("0", "-1", "0.0005", "1e-300", "1e9", ""):
        temperature.fill(value)
        assert alerts(stepper) == "Temperature: give a number from 0.001 to 100."
    temperature.press("Tab")
    assert temperature.input_value() == "1"
    assert alerts(stepper).endswith("It is 1 again.")
    button(stepper, "Causal").click()
    assert alerts(stepper) == ""


def test_what_is_being_typed_is_not_rounded(stepper):
    field = stepper.get_by_label("x of the, number 1")
    field.press("Control+A")
    field.press_sequentially("0.12345")
    assert field.input_value() == "0.12345"
    assert cells(stepper, "Query", "the")[0] == "(1, 0.123)"
    field.press("Tab")
    assert field.input_value() == "0.123"
    assert cells(stepper, "Query", "the")[0] == "(1, 0.123)"
    for typed, shown in (("0.0000001234", "1e-7"), ("-0.00004", "-0.00004")):
        field.fill(typed)
        field.press("Tab")
        assert field.input_value() == shown


def test_weights_have_three_places_and_bars_that_can_be_seen(stepper):
    go(stepper, 4)
    text = [weight for word in WORDS for weight in cells(stepper, "Weights", word)]
    assert all(re.fullmatch(r"0\.\d{3}", weight) for weight in text)
    bar = "cell => getComputedStyle(cell).backgroundSize"
    sizes = stepper.get_by_role("table", name="Weights").locator("td[style]")
    assert all(size.evaluate(bar).endswith("% 8px") for size in sizes.all())


def test_the_temperature_is_told_apart_from_the_root(stepper):
    go(stepper, 3)
    assert "by √2 = 1.41" in status(stepper)
    assert "a second one, the temperature T = 1, which changes nothing" in status(
        stepper
    )
    stepper.get_by_label("Temperature").fill("2")
    assert "a second one, the temperature T = 2. The diff" in status(stepper)
    stepper.get_by_label("divide by").uncheck()
    assert "divided by the temperature T = 2 alone." in status(stepper)


def test_a_change_and_its_effect_are_on_one_screen_of_a_telephone(visit):
    page = visit("qkv", width=360)
    go(page, 4)
    field = page.get_by_label("x of the, number 1").bounding_box()
    table = page.get_by_role("table", name="Weights").bounding_box()
    assert table["y"] + table["height"] - field["y"] < 640
    matrix = page.get_by_label("W_v, row 2, column 3")
    assert not matrix.is_visible()
    page.get_by_text("The matrices").click()
    assert matrix.is_visible()
    box = page.get_by_label("W_q, row 1, column 1").bounding_box()
    table = page.get_by_role("table", name="Weights").bounding_box()
    assert table["y"] + table["height"] - box["y"] < 640


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_numbers_do_not_overflow(stepper, sign):
    for i, one in enumerate(stepper.locator("input[type=number]").all()):
        one.fill("0.001" if i == 0 else str(100 * (-1) ** (i % 3) * sign))
    assert alerts(stepper) == ""
    assert stepper.get_by_label("Temperature").input_value() == "0.001"
    for word in WORDS:
        button(stepper, word).click()
        for step in range(1, 6):
            go(stepper, step)
            text = stepper.inner_text("main")
            assert not re.search(r"NaN|∞|undefined| / 0 ", text)


def test_very_negative_scores_are_shifted(stepper):
    """exp(-1400) is 0 for a computer, and 0 / 0 would be no number."""
    stepper.get_by_label("W_k, row 2, column 2").fill("0")
    stepper.get_by_label("x of sleeps, number 2").fill("-100")
    for word in WORDS:
        stepper.get_by_label(f"x of {word}, number 1").fill("20")
    go(stepper, 4)
    assert "The greatest, −1390, is taken from all first." in detail(stepper)
    assert " / 0 " not in detail(stepper) and "NaN" not in detail(stepper)


# ---------------------------------------------------------------------------- model and Python


def test_changes_go_to_python(mounted):
    page, widget = mounted

    def receive() -> dict:
        sent = page.evaluate("window.sent.splice(0)")
        for changes in sent:
            for name, value in changes.items():
                setattr(widget, name, value)
        return {name: value for changes in sent for name, value in changes.items()}

    page.get_by_label("x of small, number 3").fill("-2.5")
    page.get_by_label("W_v, row 2, column 1").fill("4")
    assert set(receive()) == {"hidden", "w_value"}
    assert widget.hidden[1] == [0.5, 0.0, -2.5] and widget.w_value[1] == [4, 1.0, 1.0]
    page.get_by_label("Temperature").fill("0.25")
    page.get_by_label("divide by").uncheck()
    button(page, "Causal").click()
    go(page, 4)
    page.get_by_label("cat may attend to the").uncheck()
    button(page, "small").click()
    assert set(receive()) == {"temperature", "scaled", "mask", "step", "row"}
    expected = [list(line) for line in CAUSAL]
    expected[2][0] = False
    assert (widget.temperature, widget.scaled, widget.mask) == (0.25, False, expected)
    assert repr(widget) == "QKVStepper(row=1, step=4)"
    page.get_by_label("Temperature").fill("1e9")
    assert receive() == {}
    for name in ("A dictionary", "Large vectors", "Swap “small” and “cat”"):
        button(page, name).click()
        receive()
    assert widget.words == ["the", "cat", "small", "sleeps"]
    assert widget.hidden == [[0, 0, 2], [4, 0, 0], [1, 0, 3], [0, 4, 0]]
    button(page, "Start again").click()
    receive()
    assert widget.state() == QKVStepper().state()


def test_traits_arrive_from_python(mounted):
    page, widget = mounted
    button(page, "A dictionary").click()
    widget.words = ["a", "b", "<b>c</b>", "d"]
    widget.hidden = [[i + k / 3 for k in range(3)] for i in range(4)]
    widget.w_key = [[0.0, 2.0, 0.0], [-1.0, 0.5, 0.0]]
    widget.mask = CAUSAL
    widget.scaled, widget.temperature, widget.row, widget.step = False, 50.0, 2, 4
    page.evaluate("(state) => arrive(state)", widget.state())
    assert "as in a dictionary" not in status(page)
    assert "“<b>c</b>” looks" in status(page)
    assert page.locator(".lmcourse td b, .lmcourse th b").count() == 0
    assert page.get_by_label("x of b, number 2").input_value() == "1.333"
    assert page.get_by_label("Temperature").input_value() == "50"
    assert not page.get_by_label("a may attend to b").is_checked()
    assert not page.get_by_label("divide by").is_checked()
    assert button(page, "Causal").get_attribute("aria-pressed") == "true"
    weights = cells(page, "Weights", "d")
    fallback = re.search(r'row">d</th>((?:<td>[\d.]+</td>){4})', widget.fallback())[1]
    numbers = [float(x) for x in re.findall(r"[\d.]+", fallback)]
    assert [float(x) for x in weights] == pytest.approx(numbers, abs=0.00051)
    assert page.evaluate("nListeners()") == 10
    page.evaluate("unmount()")
    assert page.evaluate("nListeners()") == 0


def test_snapshot_is_the_same_every_time_and_holds_the_state():
    first, second = QKVStepper(), QKVStepper()
    assert first.snapshot() == second.snapshot()
    text = re.search(r'application/json">(.*?)</script>', first.snapshot(), re.S)
    assert json.loads(text[1]) == first.state()
    first.hidden[0][0] = 9.0  # no list is shared
    first.mask[0][0] = False
    assert second.state() == QKVStepper().state() != first.state()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": [[1.0, 2.0]]}, "hidden=[[1.0, 2.0]] is not of shape (4, 3)"),
        ({"w_key": [[1.0, 2.0, 3.0], [4.0]]}, "is not of shape (2, 3)"),
        ({"w_query": [[1.0, 2.0]] * 3}, "is not of shape (2, 3)"),
        ({"w_query": [[[1.0], 2.0, 3.0]] * 2}, "is not of shape (2, 3)"),
        (
            {"w_value": [[1.0, 0.0, 101.0]] * 2},
            "w_value holds 101.0: numbers are between",
        ),
        ({"w_value": [[1.0, 0.0, math.nan]] * 2}, "w_value holds nan"),
        ({"w_value": [[1.0, 0.0, -math.inf]] * 2}, "w_value holds -inf"),
        ({"w_key": [[1.0, 0.0, "2"]] * 2}, "w_key holds '2', which is not a number"),
        ({"w_key": [[1.0, 0.0, True]] * 2}, "w_key holds True, which is not a number"),
        ({"words": ["a", "b"]}, "words=['a', 'b'] is not of shape (4,)"),
        ({"words": ["a", "b", "c", 4]}, "words holds 4, which is not text"),
        ({"mask": [[1] * 4] * 4}, "mask holds 1, which is not True or False"),
        ({"mask": [[True] * 3] * 4}, "is not of shape (4, 4)"),
        ({"temperature": 0.0}, "temperature=0.0 is not between 0.001 and 100"),
        ({"temperature": math.nan}, "temperature=nan is not between 0.001 and 100"),
        ({"temperature": 101.0}, "temperature=101.0 is not between 0.001 and 100"),
        ({"row": 4}, "row=4 is not between 0 and 3"),
        ({"step": 0}, "step=0 is not between 1 and 5"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        QKVStepper(**arguments)


def test_fallback_is_that_of_torch():
    for numbers, mask, temperature, scaled in random_settings(12):
        widget = QKVStepper(
            **{name: value.tolist() for name, value in numbers.items()},
            mask=mask.tolist(),
            temperature=temperature,
            scaled=scaled,
        )
        text = widget.fallback()
        hidden, w_query, w_key, _ = numbers.values()
        scale = (1 / math.sqrt(2) if scaled else 1.0) / temperature
        expected = F.scaled_dot_product_attention(
            (hidden @ w_query.T)[None],
            (hidden @ w_key.T)[None],
            torch.eye(4, dtype=torch.float64)[None],
            attn_mask=mask,
            scale=scale,
        )[0]
        assert text.count("it has no weights") == int((~mask.any(-1)).sum())
        table = text.split("<table>")[2]
        for word, row, allowed in zip(WORDS, expected, mask, strict=True):
            shown = re.search(f'row">{word}</th>(.*?)</tr>', table)[1]
            found = re.findall(r"<td>(.*?)</td>", shown)
            if allowed.any():
                assert [float(x) for x in found] == pytest.approx(
                    row.tolist(), abs=0.00051
                )
            else:
                assert found == ["–"] * 4


# ------------------------------------------------------------------------- in light and dark


def play(page) -> None:
    button(page, "A dictionary").click()
    button(page, "Causal").click()
    page.get_by_role("button", name="Swap").click()
    go(page, 4)
    page.get_by_label("the may attend to the").uncheck()
    page.get_by_label("Temperature").fill("0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_no_error_no_overflow_nothing_for_axe(visit, width, scheme):
    page = visit("qkv", width=width, scheme=scheme)
    assert violations(page) == []
    go(page, 5)
    assert violations(page) == []
    play(page)
    assert alerts(page) != ""
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_step_fits_a_telephone(visit):
    page = visit("qkv", width=360)
    for name in ("Start again", "A dictionary", "Large vectors", "Swap"):
        page.get_by_role("button", name=name).click()
        for step in range(1, 6):
            go(page, step)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
    wide = page.locator(".lc-scroll:visible").evaluate_all(
        "nodes => nodes.filter((node) => node.scrollWidth > node.clientWidth).length"
    )
    assert wide == 0  # what the swap shows is in sight without scrolling


def test_over_http_too(visit):
    page = visit("qkv", "http")
    play(page)
    assert page.log == []


def test_without_scripts_the_fallback_is_read(read_without_scripts):
    page = read_without_scripts("qkv")
    assert page.get_by_role("rowheader", name="cat").first.is_visible()


def test_the_script_is_small():
    assert len(read("qkv_stepper.js").encode()) < 30_000
