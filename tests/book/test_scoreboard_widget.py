"""The scoreboard explorer: what it shows is what `standings` says, by mouse and by keyboard."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import statistics

import pytest
from widget_page import status, tab_to, violations

from lmcourse.scoreboard import JOBS, SHARES, standings
from lmcourse.widgets import ScoreboardExplorer
from lmcourse.widgets.base import bundle
from lmcourse.widgets.scoreboard_explorer import AXES, BARS, SHARE_AXIS

SCALES = [axis for axis in AXES if axis != SHARE_AXIS]


def all_alike() -> ScoreboardExplorer:
    """Every model as good as every other, at the same cost: nothing to divide by."""
    widget = ScoreboardExplorer("translation")
    data = json.loads(json.dumps(widget.data))
    for board in data:
        board["question"] = "<b>bold</b>"
        for one in itertools.chain(*(line["shares"] for line in board["lines"])):
            one |= {"scores": [0.0] * 3, "seconds": [1.0] * 3, "parameters": 9}
            one["tokens_per_second"] = [5.0] * 3
    widget.set_trait("data", data)
    return widget


PAGES = {
    **{job.replace(" ", "_"): lambda job=job: ScoreboardExplorer(job) for job in JOBS},
    "alike": all_alike,
}


def snapshots() -> dict[str, str]:
    """A page for every widget."""
    return {name: make().snapshot() for name, make in PAGES.items()}


@pytest.fixture
def compute(visit):
    """An expression over the widget's own functions."""
    page = visit("next_word")
    page.evaluate(
        """async (source) => {
            const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
            globalThis.board = await import(url);
        }""",
        bundle("scoreboard_explorer.js"),
    )
    return page.evaluate


def field(page, trait: str):
    labels = {"job": "Job", "axis": "Along the axis", "share": "Share of the text"}
    return page.get_by_role("combobox", name=labels[trait], exact=True)


def choose(page, **wanted: str) -> None:
    for trait, value in wanted.items():
        field(page, trait).select_option(value)


def rows(page) -> list[list[str]]:
    return page.eval_on_selector_all(
        ".lmcourse tbody tr",
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))",
    )


def picture(page) -> dict:
    """What is drawn, in the picture's own coordinates: the ticks by axis, and each entry."""
    return page.evaluate(
        """() => {
            const svg = document.querySelector(".lc-sb-picture svg");
            const number = (node, key) => Number(node.getAttribute(key));
            const ticks = [...svg.querySelectorAll(".lc-sb-tick")];
            const at = (mark) => mark.localName === "circle"
                ? ["circle", number(mark, "cx"), number(mark, "cy")]
                : ["rect", number(mark, "x") + 5, number(mark, "y") + 5];
            const ends = (anchor) => ticks.filter(t => t.getAttribute("text-anchor") === anchor);
            return {
                y: ends("end").map(t => [t.textContent, number(t, "y")]),
                x: ends("middle").map(t => [t.textContent, number(t, "x")]),
                bar: svg.querySelector("[aria-hidden] .lc-sb-bar")?.getAttribute("d"),
                entries: [...svg.querySelectorAll(".lc-sb-entry")].map(g => ({
                    marks: [...g.querySelectorAll(".lc-sb-mark")].map(at),
                    seeds: [...g.querySelectorAll(".lc-sb-seeds")].map(p => p.getAttribute("d")),
                    text: g.querySelector("text").textContent,
                    box: (({ x, y, width, height }) => [x, y, width, height])(
                        g.querySelector("text").getBBox()),
                    dashed: Boolean(g.querySelector(".lc-sb-bar")),
                    open: g.querySelectorAll(".lc-sb-open").length,
                    label: g.getAttribute("aria-label"),
                })),
            };
        }"""
    )


def value_of(text: str) -> float:
    """What a tick or a cell says, as a number."""
    found = re.fullmatch(r"([−\d.,]+)( µs| ms| s|%)?", text)
    sizes = {" µs": 1e-6, " ms": 1e-3, "%": 0.01, " s": 1.0, None: 1.0}
    return float(found[1].replace(",", "").replace("−", "-")) * sizes[found[2]]


def place(ticks: list, value: float, log: bool) -> float:
    """Where a reader finds a value on an axis, from its first and its last tick."""
    to = math.log if log else float
    (first, start), (last, end) = (
        (value_of(text), at) for text, at in (ticks[0], ticks[-1])
    )
    return start + (end - start) * (to(value) - to(first)) / (to(last) - to(first))


def score(line) -> float:
    return statistics.fmean(line.scores)


def better(job: str, a: float, b: float) -> bool:
    return a > b if JOBS[job].higher_is_better else a < b


def cost(line, axis: str) -> float:
    """What lies along the axis."""
    return {
        "parameters": lambda: line.parameters,
        "seconds of training": lambda: statistics.fmean(line.seconds),
        "tokens a second": lambda: statistics.fmean(line.tokens_per_second),
    }[axis]()


def best(job: str, lines: list) -> list:
    return [a for a in lines if not any(better(job, score(b), score(a)) for b in lines)]


def model_of(line) -> str:
    return line.name.removesuffix(", left side").removesuffix(", every word tried")


def bar(job: str, lines: list):
    return best(job, [line for line in lines if model_of(line) in BARS])[0]


def listed(lines: list, most: int = 9) -> str:
    names = [re.sub(r", (.*)", r" (\1)", line.name) for line in lines]
    if len(names) > most:
        return f"{len(names)} models"
    if len(names) < 2:
        return (*names, "none")[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def three_places(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


# ------------------------------------------------------------------------- in light and dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", PAGES)
def test_no_error_no_overflow_nothing_for_axe(visit, name, width, scheme):
    page = visit(name, width=width, scheme=scheme)
    for axis in AXES:
        choose(page, axis=axis)
        page.locator(".lmcourse tbody tr").last.hover()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if axis in (AXES[0], SHARE_AXIS):
            assert violations(page) == []
    choose(page, axis=AXES[1], share="10%")
    page.get_by_role("button", name="score").click()
    assert (
        page.locator(".lmcourse tbody tr").count()
        == page.locator(".lc-sb-entry").count()
    )


def test_over_http_nothing_more_is_asked_for(visit):
    page = visit("one_blank", "http")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for job, axis in itertools.product(JOBS, AXES):
        choose(page, job=job, axis=axis)
    assert page.log == [] and asked == []


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_the_fallback_is_read(read_without_scripts, name):
    page = read_without_scripts(name)
    assert page.get_by_role("table").is_visible()


def test_models_that_are_all_alike(visit):
    page = visit("alike")
    n_lines = len(standings("translation"))
    for axis in AXES:
        choose(page, axis=axis)
        entries = picture(page)["entries"]
        assert len(entries) == n_lines and all(one["marks"] for one in entries)
        numbers = json.dumps([one["marks"] for one in entries])
        assert "null" not in numbers and "NaN" not in page.inner_html(".lc-sb-picture")
    assert "More text helps none." in status(page)
    choose(page, axis="parameters")
    assert status(page).endswith(f"score at once: {listed(standings('translation'))}.")
    assert "<b>bold</b>" in page.inner_text(".lmcourse-live")


# ---------------------------------------------------------------- the numbers are those of Python


@pytest.mark.parametrize("job", JOBS)
def test_the_table_says_what_standings_says(visit, job):
    page = visit(job.replace(" ", "_"))
    for share in SHARES:
        choose(page, share=share)
        lines = standings(job, share)
        found = rows(page)
        assert len(found) == len(lines)
        for number, (line, cells) in enumerate(zip(lines, found, strict=True), 1):
            assert cells[0] == f"{number} {line.name}"
            assert cells[1] == f"{line.parameters:,}"
            for cell, axis in zip(cells[2:4], SCALES[1:], strict=True):
                assert value_of(cell) == pytest.approx(cost(line, axis), rel=6e-3)
            assert value_of(cells[4]) == pytest.approx(score(line), abs=5.1e-4)
            ends = sorted(line.scores, reverse=not JOBS[job].higher_is_better)
            spread = [value_of(text) for text in cells[5].split(" to ")]
            assert spread == pytest.approx([ends[0], ends[-1]], abs=5.1e-4)
    choose(page, axis=SHARE_AXIS)
    assert field(page, "share").is_disabled()
    by_share = [standings(job, share) for share in SHARES]
    for lines, cells in zip(zip(*by_share, strict=True), rows(page), strict=True):
        for line, cell in zip(lines, cells[1:], strict=True):
            mean, spread = cell.split("\n")
            assert value_of(mean) == pytest.approx(score(line), abs=5.1e-4)
            ends = [value_of(text) for text in spread.split(" to ")]
            assert sorted(ends) == pytest.approx(
                [min(line.scores), max(line.scores)], abs=5.1e-4
            )


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("width", [1280, 360])
def test_every_point_stands_where_its_axes_say(visit, job, width):
    page = visit(job.replace(" ", "_"), width=width)
    for axis, share in itertools.product(SCALES, SHARES):
        choose(page, axis=axis, share=share)
        drawn, lines = picture(page), standings(job, share)
        assert len(drawn["x"]) > 1 and len(drawn["y"]) > 1
        log = "logarithmic" in page.inner_text(".lc-sb-picture p")
        assert ("higher" if JOBS[job].higher_is_better else "lower") + " is better" in (
            page.inner_text(".lc-sb-picture p")
        )
        for line, entry in zip(lines, drawn["entries"], strict=True):
            ((shape, x, y),) = entry["marks"]
            assert shape == ("rect" if line.counted else "circle")
            assert entry["open"] == line.name.endswith("left side")
            assert x == pytest.approx(
                place(drawn["x"], cost(line, axis), True), abs=0.3
            )
            assert y == pytest.approx(place(drawn["y"], score(line), log), abs=0.3)
            ends = [float(text) for text in re.split("[MV ]", entry["seeds"][0])[2:]]
            expected = [
                place(drawn["y"], one, log)
                for one in (min, max)
                for one in [one(line.scores)]
            ]
            assert sorted(ends) == pytest.approx(sorted(expected), abs=0.3)
            assert f" {line.name}: {three_places(score(line))} (" in entry["label"]
        dashed = float(re.match(r"M[\d.]+ ([\d.]+)h", drawn["bar"])[1])
        expected = place(drawn["y"], score(bar(job, lines)), log)
        assert dashed == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("job", JOBS)
def test_with_shares_along_the_axis_every_model_is_a_line(visit, job):
    page = visit(job.replace(" ", "_"))
    choose(page, axis=SHARE_AXIS)
    drawn, by_share = picture(page), [standings(job, share) for share in SHARES]
    log = "logarithmic" in page.inner_text(".lc-sb-picture p")
    assert [text for text, _ in drawn["x"]] == list(SHARES) and drawn["bar"] is None
    for lines, entry in zip(zip(*by_share, strict=True), drawn["entries"], strict=True):
        assert entry["text"] == lines[0].name and len(entry["seeds"]) == len(SHARES)
        for line, share, (_, x, y) in zip(lines, SHARES, entry["marks"], strict=True):
            assert x == pytest.approx(dict(drawn["x"])[share], abs=0.3)
            assert y == pytest.approx(place(drawn["y"], score(line), log), abs=0.3)
        assert entry["dashed"] == (lines[-1].name == bar(job, by_share[-1]).name)


@pytest.mark.parametrize("job", JOBS)
def test_the_sentence_is_true(visit, job):
    page = visit(job.replace(" ", "_"))
    for axis, share in itertools.product(SCALES, SHARES):
        choose(page, axis=axis, share=share)
        lines = standings(job, share)
        sign = 1 if axis == "tokens a second" else -1
        front = [
            a
            for a in lines
            if not any(
                sign * cost(b, axis) >= sign * cost(a, axis)
                and not better(job, score(a), score(b))
                and (cost(a, axis), score(a)) != (cost(b, axis), score(b))
                for b in lines
            )
        ]
        winners, standard = best(job, lines), bar(job, lines)
        worse = [a for a in lines if better(job, score(standard), score(a))]
        said = status(page)
        assert said.startswith(f"Best with {share} of the text: {listed(winners)}, at ")
        if standard in winners:
            assert "It is the bar: none is better." in said
        else:
            assert f"The bar, {listed([standard])}, is at " in said
            assert f"Worse than it: {listed(worse)}. " in said
        assert said.endswith(f"in {axis} and score at once: {listed(front)}.")
    choose(page, axis=SHARE_AXIS)
    said = status(page)
    for share in SHARES:
        lines = standings(job, share)
        ahead = [a for a in lines if better(job, score(a), score(bar(job, lines)))]
        assert f"with {share}: {listed(best(job, lines), 3)}, at " in said
        assert f"with {share}: {listed(ahead, 3)}" in said.partition("the bar")[2]


# ------------------------------------------------------------------ the picture and the table


@pytest.mark.parametrize("job", JOBS)
def test_names_or_numbers_never_run_into_each_other(visit, job):
    page = visit(job.replace(" ", "_"), width=1280)
    for axis, share in itertools.product(AXES, SHARES):
        choose(page, axis=axis)
        if axis != SHARE_AXIS:
            choose(page, share=share)
        lines, entries = standings(job, share), picture(page)["entries"]
        texts = [one["text"] for one in entries]
        numbers = [str(number) for number in range(1, len(lines) + 1)]
        names = [line.name if axis == SHARE_AXIS else model_of(line) for line in lines]
        assert texts in (names, numbers)
        for a, b in itertools.combinations([one["box"] for one in entries], 2):
            apart = max(a[0], b[0]) - min(a[0] + a[2], b[0] + b[2])
            below = max(a[1], b[1]) - min(a[1] + a[3], b[1] + b[3])
            # A line of text is a little higher than its letters.
            assert apart > -1 or below > -4 or texts == numbers


def test_at_360_px_the_numbers_of_the_table_stand_at_the_points(visit):
    page = visit("next_word", width=360)
    for axis in AXES:
        choose(page, axis=axis)
        texts = [one["text"] for one in picture(page)["entries"]]
        assert texts == [row[0].split()[0] for row in rows(page)]


def test_the_picture_follows_the_width(visit):
    page = visit("next_word", width=1280)
    page.set_viewport_size({"width": 360, "height": 900})
    page.wait_for_function(
        "() => document.querySelector('.lc-sb-picture svg').clientWidth < 360"
    )
    assert [one["text"] for one in picture(page)["entries"]][:2] == ["1", "2"]


def lit(page) -> tuple[list[str], list[str]]:
    """The names that are lit in the picture and in the table."""
    entries = page.locator(".lc-sb-hot").all()
    labels = [entry.get_attribute("aria-label") for entry in entries]
    shown = [re.match(r"\d+ ([^:]*):", label)[1] for label in labels]
    cells = page.locator("tr.lc-current th").all_inner_texts()
    return shown, [text.split(maxsplit=1)[1] for text in cells]


@pytest.mark.parametrize("axis", [SCALES[0], SHARE_AXIS])
def test_a_model_is_found_in_both_by_mouse(visit, axis):
    page = visit("translation")
    choose(page, axis=axis)
    lines = standings("translation")
    assert lit(page) == ([], [])
    page.locator(".lmcourse tbody tr").nth(3).hover()
    assert lit(page) == ([lines[3].name], [lines[3].name])
    assert page.inner_text(".lc-sb-readout").startswith(f"4 {lines[3].name}: ")
    page.locator(".lc-sb-entry").nth(1).locator("text").hover()
    assert lit(page) == ([lines[1].name], [lines[1].name])
    page.get_by_text("Scoreboard", exact=True).hover()
    assert lit(page) == ([], [])
    assert page.inner_text(".lc-sb-readout").startswith("Point to a model")


def test_a_model_is_found_in_both_by_keyboard(visit):
    page = visit("translation")
    names = [line.name for line in standings("translation")]
    tab_to(page, page.locator(".lc-sb-entry").first)
    for name in names:
        assert lit(page) == ([name], [name])
        page.keyboard.press("Tab")
    assert lit(page) == ([], [])
    tab_to(page, page.locator(".lmcourse tbody tr").first)
    for name in names[:-1]:
        assert lit(page) == ([name], [name])
        page.keyboard.press("Tab")
    assert lit(page) == ([names[-1]], [names[-1]])


def test_lighting_a_row_moves_nothing(visit):
    page = visit("one_blank", width=360)
    for axis in (SCALES[0], SHARE_AXIS):
        choose(page, axis=axis)
        row = page.locator(".lmcourse tbody tr").nth(13)
        before = page.locator(".lmcourse table").bounding_box()["y"]
        row.hover()
        scrolled = page.evaluate("window.scrollY")
        assert page.locator(".lmcourse table").bounding_box()["y"] == before - scrolled
        page.evaluate("window.scrollTo(0, 0)")


def test_the_picture_is_drawn_anew_around_the_focus(visit):
    page = visit("next_word", width=1280)
    tab_to(page, page.locator(".lc-sb-entry").nth(2))
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_function(
        "() => document.querySelector('.lc-sb-picture svg').clientWidth < 500"
    )
    name = standings("next word")[2].name
    page.wait_for_function("() => document.querySelector('.lc-sb-hot')")
    assert lit(page) == ([name], [name])
    assert page.evaluate("document.activeElement.dataset.entry") == "3"


# -------------------------------------------------------------------------------------- sorting


@pytest.mark.parametrize("job", JOBS)
def test_every_header_sorts_up_and_down(visit, job):
    page = visit(job.replace(" ", "_"))
    lines = standings(job)
    keys = {
        "model": range(len(lines)),
        "parameters": [line.parameters for line in lines],
        "seconds": [cost(line, SCALES[1]) for line in lines],
        "tokens/s": [cost(line, SCALES[2]) for line in lines],
        "score": [score(line) for line in lines],
        "worst to best seed": [max(line.scores) - min(line.scores) for line in lines],
    }
    assert page.locator("th[aria-sort]").all_inner_texts() == ["model ▲"]
    for name, key in list(keys.items())[::-1]:
        header = page.get_by_role("columnheader", name=name, exact=True)
        for direction, sign in (("ascending", 1), ("descending", -1)):
            header.get_by_role("button").click()
            assert header.get_attribute("aria-sort") == direction
            assert page.locator("th[aria-sort]").count() == 1
            order = sorted(range(len(lines)), key=lambda i: (sign * key[i], i))
            expected = [f"{i + 1} {lines[i].name}" for i in order]
            assert [row[0] for row in rows(page)] == expected


def test_sorting_by_keyboard_keeps_the_focus_and_the_order(visit):
    page = visit("next_word")
    header = page.get_by_role("columnheader", name="score", exact=True)
    tab_to(page, header.get_by_role("button"))
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") == "descending"
    assert page.evaluate("document.activeElement.textContent") == "score ▼"
    choose(page, share="10%")  # the columns stay, and so does the order
    assert header.get_attribute("aria-sort") == "descending"
    lines = standings("next word", "10%")
    order = sorted(range(len(lines)), key=lambda i: (-score(lines[i]), i))
    assert [row[0].split()[0] for row in rows(page)] == [str(i + 1) for i in order]
    choose(page, axis=SHARE_AXIS)
    assert page.locator("th[aria-sort]").all_inner_texts() == ["model ▲"]
    page.get_by_role("button", name="30%").click()
    lines = standings("next word", "30%")
    order = sorted(range(len(lines)), key=lambda i: (score(lines[i]), i))
    assert [row[0].split()[0] for row in rows(page)] == [str(i + 1) for i in order]


# ------------------------------------------------------------------------------ its own functions


def test_ticks_are_round_and_inside(compute):
    stream = random.Random(1)
    cases = []
    for _ in range(200):
        low = 10 ** stream.uniform(-6, 5)
        cases.append([low, low * 10 ** stream.uniform(0.5, 9), True])
        low = stream.uniform(-5, 5)
        cases.append([low, low + 10 ** stream.uniform(-4, 3), False])
    found = compute(
        """(cases) => cases.map(([low, high, log]) =>
            board.ticks(low, high, (list) => list.length < 8, log))""",
        cases,
    )
    for (low, high, log), values in zip(cases, found, strict=True):
        slack = 1e-9 * max(abs(low), abs(high))
        assert 1 < len(values) < 8 and values == sorted(values)
        assert low - slack <= values[0] and values[-1] <= high + slack
        if log and high > 10 * low:
            assert {f"{value:.3e}"[:5] for value in values} <= {
                *("1.000", "2.000", "3.000", "5.000"),
            }
        else:
            steps = {f"{b - a:.6e}"[0] for a, b in itertools.pairwise(values)}
            assert len(steps) == 1 and steps <= set("125")


def test_durations_have_units(compute):
    seconds = [2e-7, 4.13e-5, 0.0009996, 0.0412, 0.9999, 5.04, 132.4, 1234.5]
    found = compute("(list) => list.map(board.duration)", seconds)
    assert found == [
        *("0.2 µs", "41.3 µs", "1 ms", "41.2 ms"),
        *("1 s", "5.04 s", "132 s", "1,230 s"),
    ]


def test_who_is_not_beaten_by_hand(compute):
    points = [[1, 5], [2, 3], [2, 4], [3, 3], [4, 1], [4, 1], [5, 2]]
    expression = """([points, less, higher]) => {
        const entries = points.map(([cost, score], name) => ({ cost, score, name }));
        const better = (a, b) => (higher ? a > b : a < b);
        const found = board.unbeaten(entries, { of: (one) => one.cost, less }, better);
        return found.map(({ name }) => name);
    }"""
    assert compute(expression, [points, True, False]) == [0, 1, 4, 5]
    assert compute(expression, [points, True, True]) == [0]
    assert compute(expression, [points, False, False]) == [4, 5, 6]
    assert compute(expression, [points, False, True]) == [0, 2, 3, 6]


def test_texts_find_places_of_their_own(compute):
    stream = random.Random(2)
    area = {"x": 40, "y": 10, "width": 800, "height": 380}
    cases = []
    for n_points in (1, 4, 8, 12, 17):
        for _ in range(6):
            points = [
                {"x": 40 + 800 * stream.random(), "y": 10 + 380 * stream.random()}
                for _ in range(n_points)
            ]
            widths = [stream.uniform(20, 140) for _ in points]
            cases.append([points, widths, area, []])
    found = compute("(cases) => cases.map((one) => board.placeTexts(...one))", cases)
    for (_, widths, *_), placed in zip(cases, found, strict=True):
        boxes = placed["boxes"]
        assert [box["width"] for box in boxes] == widths
        for box in boxes:
            assert box["x"] >= 40 and box["x"] + box["width"] <= 840
            assert box["y"] >= 10 and box["y"] + box["height"] <= 390
        touching = any(
            min(a["x"] + a["width"], b["x"] + b["width"]) > max(a["x"], b["x"])
            and min(a["y"], b["y"]) + a["height"] > max(a["y"], b["y"])
            for a, b in itertools.combinations(boxes, 2)
        )
        assert not (touching and placed["clash"] == 0)
    assert sum(placed["clash"] == 0 for placed in found) > len(found) / 2
    too_wide = compute(
        "(area) => board.placeTexts([{ x: 60, y: 60 }], [900], area, []).clash === Infinity",
        area,
    )
    assert too_wide


def test_a_column_of_texts_is_spread(compute):
    stream = random.Random(3)
    cases = [
        [[stream.uniform(0, 300) for _ in range(n)], 15, 0, 300] for n in (1, 5, 17)
    ]
    found = compute("(cases) => cases.map((one) => board.spread(...one))", cases)
    for (heights, gap, low, high), texts in zip(cases, found, strict=True):
        order = sorted(range(len(heights)), key=heights.__getitem__)
        assert sorted(range(len(texts)), key=texts.__getitem__) == order
        ends = sorted(texts)
        assert low <= ends[0] + 1e-9 and ends[-1] <= high + 1e-9
        assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(ends))


# ---------------------------------------------------------------------------------------- traits

LIVE = """async ([source, state]) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const listeners = [];
    globalThis.saved = state;
    globalThis.model = {
        get: (key) => state[key],
        set(key, value) {
            state[key] = value;
            listeners.filter(([event]) => event === `change:${key}`).forEach(([, f]) => f());
        },
        save_changes() { globalThis.sent = { ...state, data: null }; },
        on: (...pair) => listeners.push(pair),
    };
    const el = document.createElement("div");
    document.querySelector("main").replaceChildren(el);
    globalThis.unmount = (await import(url)).default.render({ model, el });
}"""


def test_traits_go_to_the_page_and_come_back(visit):
    page = visit("next_word")
    page.evaluate(
        LIVE, [bundle("scoreboard_explorer.js"), ScoreboardExplorer().state()]
    )
    page.evaluate(
        "() => { model.set('job', 'translation'); model.set('share', '30%'); }"
    )
    assert [row[0].split(maxsplit=1)[1] for row in rows(page)] == [
        line.name for line in standings("translation", "30%")
    ]
    assert field(page, "job").input_value() == "translation"
    assert status(page).startswith("Best with 30% of the text")
    page.evaluate("() => model.set('axis', 'share of the text')")
    assert field(page, "share").is_disabled()
    choose(page, axis="tokens a second", job="one blank", share="10%")
    sent = page.evaluate("() => sent")
    again = ScoreboardExplorer(**{key: sent[key] for key in ("job", "axis", "share")})
    assert repr(again) == (
        "ScoreboardExplorer('one blank', axis='tokens a second', share='10%')"
    )
    page.evaluate("() => unmount()")
