"""Pictures and tables: stable bytes, alternative text, colours for light and dark, readable."""

import re
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from lmcourse import plots

ROOT = Path(__file__).parents[1]
STYLES = ROOT / "book/assets/colours.css", ROOT / "lmcourse/widgets/widgets.css"
TEXTS = {"alt": 'A "line" <falls>.', "caption": "Loss & steps."}
CHAIN = [[0, 0.75, 0.25], [0.5, 0.5, 0], [1, 0, 0]]

MAKERS = {
    "figure": lambda: plots.figure(columns=2, **TEXTS),
    "lines": lambda: plots.lines(
        [1, 2, 3],
        {"a": [[3.0, 3.5], [2.0, 2.25], [1.0, 1.5]], "b": [1, 2, 3]},
        x_label="order",
        y_label="bits",
        floor=0.5,
        floor_label="entropy",
        **TEXTS,
    ),
    "bars": lambda: plots.bars(
        {"a": 3.0, "b": [1.0, 1.5]},
        value_label="bits",
        floor=0.5,
        floor_label="entropy",
        **TEXTS,
    ),
    "points": lambda: plots.points(
        {"a": (1.0, [0.3, 0.5]), "b": ([90, 110], 0.2)},
        x_label="seconds",
        y_label="bits",
        squares=["a"],
        logarithmic="x",
        floor=0.4,
        floor_label="bar",
        **TEXTS,
    ),
    "heat_map": lambda: plots.heat_map(
        CHAIN, ["a", "b", "c"], ["long name", "b", "c"], **TEXTS
    ),
    "transition_graph": lambda: plots.transition_graph(
        ["<s>", "b", "c"], CHAIN, **TEXTS
    ),
}
each_kind = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@each_kind
def test_the_same_numbers_give_the_same_bytes(make):
    picture = make()
    assert picture._repr_html_() == picture._repr_html_() == make()._repr_html_()


def test_bytes_do_not_depend_on_the_process():
    code = (
        "from lmcourse import plots\n"
        "p = plots.bars({'a': 1.0}, value_label='x', alt='a', caption='c', floor=0.5)\n"
        "import hashlib; print(hashlib.sha256(p._repr_html_().encode()).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for _ in range(2)
    }
    assert len(runs) == 1 and runs != {""}


@each_kind
def test_alternative_text_and_caption_stand_in_the_output(make):
    html = make()._repr_html_()
    assert 'alt="A &quot;line&quot; &lt;falls&gt;."' in html
    assert "<figcaption>Loss &amp; steps.</figcaption>" in html
    assert repr(make()) == 'Figure: Loss & steps. [A "line" <falls>.]'


@each_kind
def test_the_address_holds_valid_svg_without_outside_parts(make):
    picture = make()
    address = re.search(
        r'src="data:image/svg\+xml,([^"]*)"', picture._repr_html_()
    ).group(1)
    assert address.isascii()
    svg = urllib.parse.unquote(address)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert picture_texts(svg) == picture_texts(picture.svg())
    assert set(re.findall(r"https?://([^/\"']+)", svg)) == {
        "www.w3.org"
    }  # names, no addresses
    assert len(picture._repr_html_()) < 40_000


def picture_texts(svg):
    return [
        node.text
        for node in ElementTree.fromstring(svg).iter()
        if node.tag.endswith("}text")
    ]


@each_kind
def test_every_colour_has_a_dark_form(make):
    drawn = make().svg()
    drawn = drawn[: drawn.index("<style>")] + drawn[drawn.index("</style>") :]
    assert re.findall(r"#[0-9a-fA-F]{6}\b", drawn) == []
    assert "DejaVu" not in drawn


def test_numbers_in_texts_keep_their_digits():
    svg = plots.heat_map([[0.5, 1.0]], ["a"], ["b", "c"], digits=3, **TEXTS).svg()
    assert {"0.500", "1.000"} <= set(picture_texts(svg))
    coordinates = re.findall(r" d=\"([^\"]*)\"", svg)
    assert not any(re.search(r"\d\.\d{3}", path) for path in coordinates)


def test_what_is_drawn_later_counts():
    picture = plots.figure(**TEXTS)
    before = picture.svg()
    picture.ax.text(0.5, 0.5, "added")
    assert "added" in picture.svg() and "added" not in before


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def blend(colour, background, opacity):
    pairs = [
        (int(colour[i : i + 2], 16), int(background[i : i + 2], 16)) for i in (1, 3, 5)
    ]
    return "#" + "".join(
        f"{round(opacity * c + (1 - opacity) * b):02x}" for c, b in pairs
    )


@pytest.mark.parametrize("side", [0, 1], ids=["light", "dark"])
def test_contrast_is_enough_to_read(side):
    colours = {name: pair[side] for name, pair in plots.PALETTE.items()}
    for name, colour in colours.items():
        if name not in ("background", "grid"):
            assert contrast(colour, colours["background"]) >= 4.5, name
    darkest = blend(colours["blue"], colours["background"], plots.SHADE)
    assert contrast(colours["ink"], darkest) >= 4.5


PAGES_AND_WIDGETS = {
    "ink": ("--pst-color-text-base", "--lc-text"),
    "muted": ("--pst-color-text-muted", "--lc-muted"),
    "grid": ("--pst-color-border", "--lc-line"),
    "blue": ("--pst-color-primary", "--lc-accent"),
}


@pytest.mark.parametrize("name", PAGES_AND_WIDGETS)
def test_pages_and_widgets_have_the_colours_of_the_figures(name):
    for path, variable in zip(STYLES, PAGES_AND_WIDGETS[name], strict=True):
        text = path.read_text(encoding="utf-8")
        found = re.findall(rf"{variable}:.*?(#\w+)\)*;", text)
        assert tuple(found[:2]) == plots.PALETTE[name], (path.name, found)
        assert set(found[2:]) <= {plots.PALETTE[name][1]}, (path.name, found)


def test_layers_follow_the_steps_from_the_first_token():
    places = plots.layers(
        ["a", "b", "c", "d"], np.array(CHAIN + [[0, 0, 0]]) @ np.eye(3, 4)
    )
    assert places["a"][0] == 0.0
    assert places["b"][0] == places["c"][0] == 1.0
    assert len(set(places.values())) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.figure(alt=" ", caption="c"), "alternative text"),
        (lambda: plots.figure(alt="a", caption=""), "caption=''"),
        (lambda: plots.bars({}, value_label="x", **TEXTS), "at least one bar"),
        (
            lambda: plots.lines([1, 2], {"a": [1]}, x_label="x", y_label="y", **TEXTS),
            "'a' has 1 points, x has 2",
        ),
        (
            lambda: plots.heat_map([[1.0]], ["a", "b"], ["c"], **TEXTS),
            r"shape \(1, 1\)",
        ),
        (
            lambda: plots.heat_map([[-1.0]], ["a"], ["c"], **TEXTS),
            "smallest number is -1",
        ),
        (lambda: plots.transition_graph(["a"], CHAIN, **TEXTS), "there are 1 tokens"),
        (
            lambda: plots.transition_graph(
                ["a"], [[1]], positions={"b": (0, 0)}, **TEXTS
            ),
            r"no position for \['a'\]",
        ),
        (lambda: plots.table([], caption="c"), "at least one row"),
        (lambda: plots.table([{"a": 1}], caption=""), "has a caption"),
        (lambda: plots.table([{"a": 1}, {"b": 1}], caption="c"), "the first has"),
        (
            lambda: plots.table([{"a": "x"}], caption="c", highlight={"a": "min"}),
            "column of",
        ),
        (
            lambda: plots.table([{"a": 1}], caption="c", highlight={"a": "best"}),
            '"min" or "max"',
        ),
    ],
)
def test_wrong_use_is_told(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_table_rounds_and_marks_its_best():
    rows = [
        {"model": "a<b", "bits": 2.0004, "n": 12345},
        {"model": "c", "bits": 2.0001, "n": None},
        {"model": "d", "bits": 3, "n": -0.0001},
    ]
    shown = plots.table(
        rows, caption="B & C.", digits={"bits": 3, "n": 1}, highlight={"bits": "min"}
    )
    html = shown._repr_html_()
    root = ElementTree.fromstring(html)
    assert root.find("figcaption").text == "B & C."
    assert [cell.get("scope") for cell in root.iter("th")] == ["col"] * 3 + ["row"] * 3
    assert [cell.text for cell in root.iter("strong")] == [
        "2.000",
        "2.000",
    ]  # equal as shown
    assert [cell.text for cell in root.iter("td")][1::2] == ["12,345", None, "0.0"]
    assert repr(shown).splitlines()[1] == "model   bits       n"


def test_columns_of_numbers_are_marked_for_alignment():
    rows = [
        {"order": 1, "bits": "2.00 ± 0.01", "word": "a", "p": "1/8", "note": "1 to 2"},
        {"order": 2, "bits": float("inf"), "word": "b", "p": None, "note": "3"},
    ]
    html = plots.table(rows, caption="c")._repr_html_()
    cells = list(ElementTree.fromstring(html).iter("tr"))[1]
    marked = [cell.get("class") == "lmcourse-number" for cell in cells]
    assert marked == [True, True, False, True, False]


def test_a_spread_that_rounds_to_zero_is_not_written_at_a_bar():
    bars = plots.bars({"a": [1.0, 1.001], "b": [1.0, 1.5]}, value_label="x", **TEXTS)
    assert {"1.00", "1.25 ± 0.35"} <= set(picture_texts(bars.svg()))


def test_spread_is_the_sample_standard_deviation():
    assert plots.spread([1.0, 3.0], digits=2) == "2.00 ± 1.41"
    assert plots.spread(2.0, digits=1) == "2.0 ± 0.0"


# ------------------------------------------------------------------------------ named points


def named(places, **settings):
    return plots.points(places, x_label="x", y_label="y", **TEXTS, **settings)


def boxes_of_names(picture):
    """Where the names stand in the drawn picture, in pixels."""
    picture.figure.canvas.draw()
    return {
        text.get_text(): text.get_window_extent()
        for text in picture.ax.texts
        if text.get_text()  # not the lines to the points
    }


def test_points_stand_at_the_means_and_lines_reach_from_lowest_to_highest():
    ax = named({"a": ([1.0, 2.0, 6.0], [4.0, 8.0])}).ax
    across, upwards, mean = (line.get_xydata().tolist() for line in ax.lines)
    assert across == [[1, 6], [6, 6]]
    assert upwards == [[3, 4], [3, 8]]
    assert mean == [[3, 6]]


def test_squares_differ_in_shape_and_colour():
    ax = named({"a": (1, 1), "b": (2, 2)}, squares=["b"]).ax
    first, second = ax.lines[2], ax.lines[5]
    assert (first.get_marker(), second.get_marker()) == ("o", "s")
    assert first.get_color() != second.get_color()


@pytest.mark.parametrize("logarithmic", ["", "x", "y", "xy"])
def test_names_neither_cover_each_other_nor_leave_the_axes(logarithmic):
    places = {
        "multi-head attention": (400, 0.06),
        "self-attention": (390, 0.19),
        "Transformer": (410, 0.055),
        "n-gram": (2, 0.65),
        "unigram": (0.004, 3.2),
    }
    picture = named(places, logarithmic=logarithmic, height=4.2)
    boxes = boxes_of_names(picture)
    assert list(boxes) == list(places)
    inside = picture.ax.get_window_extent().padded(8)
    for name, box in boxes.items():
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1, name
        assert inside.y0 <= box.y0 and box.y1 <= inside.y1, name
    names = list(boxes)
    for place, name in enumerate(names):
        for other in names[:place]:
            assert not boxes[name].overlaps(boxes[other]), (name, other)


@pytest.mark.parametrize("logarithmic", ["", "x", "y", "xy"])
def test_scales_are_the_chosen_ones(logarithmic):
    ax = named({"a": (1, 1), "b": (20, 300)}, logarithmic=logarithmic).ax
    assert (ax.get_xscale() == "log") == ("x" in logarithmic)
    assert (ax.get_yscale() == "log") == ("y" in logarithmic)


@pytest.mark.parametrize(
    ("places", "settings"),
    [
        ({}, {}),
        ({"a": (1, 1)}, {"squares": ["b"]}),
        ({"a": (0, 1)}, {"logarithmic": "x"}),
        ({"a": (1, float("nan"))}, {}),
        ({"a": (float("inf"), 1)}, {}),
    ],
)
def test_points_that_cannot_be_drawn_are_told(places, settings):
    with pytest.raises(ValueError, match=r"give at least one point|numbers are finite"):
        named(places, **settings)
