"""The widgets from Python: snapshots that never change, traits that refuse nonsense."""

import json
import math
import re
import statistics

import pytest
import traitlets

from lmcourse import exercises
from lmcourse.data.rabbits import RABBITS
from lmcourse.scoreboard import JOBS, SHARES, standings
from lmcourse.tokenizers import WordTokenizer
from lmcourse.widgets import (
    ExerciseCard,
    MarkovExplorer,
    QuizCard,
    ScoreboardExplorer,
    ShannonGame,
    shannon_bounds,
    site_scripts,
)
from lmcourse.widgets.base import bundle, read, to_json, widget_names
from lmcourse.widgets.scoreboard_explorer import AXES, BARS, SHARE_AXIS

ALL = exercises.all_exercises()
QUIZZES = [item for item in ALL if item.to_dict()["kind"] != "code"]
CODE = [item for item in ALL if item.to_dict()["kind"] == "code"]
UNIGRAM = {"a": 0.5, "b": 0.25, "</s>": 0.25}


def small_game(**kwargs):
    return ShannonGame(["a b", "b"], ["a", "b"], {"unigram": UNIGRAM}, **kwargs)


WIDGETS = {
    "markov": MarkovExplorer,
    "shannon": small_game,
    "quiz": lambda: QuizCard(QUIZZES[0]),
    "exercise": lambda: ExerciseCard(CODE[0]),
    "scoreboard": ScoreboardExplorer,
}


def state_of(widget) -> dict:
    text = re.search(
        r'<script type="application/json">(.*?)</script>', widget.snapshot(), re.S
    )
    return json.loads(text.group(1))


@pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
def test_snapshot_is_the_same_every_time_and_holds_the_state(make):
    first, second = make(), make()
    assert first.snapshot() == second.snapshot()
    assert repr(first) == repr(second) and "0x" not in repr(first)
    assert state_of(first) == first.state()
    assert first.model_id not in first.snapshot()
    assert f'data-widget="{first.name}"' in first.snapshot()
    assert "lmcourse-fallback" in first.snapshot() and first.fallback()


@pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
def test_output_has_live_view_snapshot_and_plain_text(make):
    widget = make()
    data, _ = widget._repr_mimebundle_()
    assert data["text/html"] == widget.snapshot()
    assert data["text/plain"] == repr(widget)
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_changed_trait_changes_the_snapshot():
    explorer = MarkovExplorer()
    before = explorer.snapshot()
    explorer.alpha = 0.5
    assert explorer.snapshot() != before


def test_text_cannot_leave_the_script_or_the_fallback():
    explorer = MarkovExplorer(["</script><img src=x onerror=alert(1)>"])
    assert "<img" not in explorer.snapshot()
    assert explorer.snapshot().count("</script>") == 1
    assert state_of(explorer)["sentences"] == explorer.sentences
    assert to_json({"b": 1, "a": "<!--"}) == '{"a":"\\u003c!--","b":1}'


def test_every_widget_is_one_module_without_imports():
    for name in widget_names():
        module = bundle(f"{name}.js")
        assert "\nimport " not in module and not module.startswith("import ")
        assert module.count("export default") == 1
        assert module.count("function h(") == 1  # common.js once
    assert "export function h(" in read("common.js")


def test_site_scripts_register_the_module_that_jupyter_loads():
    scripts = site_scripts()
    assert set(scripts) == {
        "host.js",
        "widgets.css",
        *(f"{name}.js" for name in widget_names()),
    }
    widgets = (MarkovExplorer, ShannonGame, QuizCard, ExerciseCard, ScoreboardExplorer)
    for widget in widgets:
        source = scripts[f"{widget.name}.js"]
        name, module = json.loads(
            f"[{source[len('lmcourse.register(') : -len(');') - 1]}]"
        )
        assert name == widget.name and module == widget._esm
    # A page loads host.js, widgets.css and its own two or three widgets. Each holds all that it
    # imports; those that run a model hold the layers of forward.js too.
    assert max(len(text.encode()) for text in scripts.values()) < 80_000
    assert sum(len(text.encode()) for text in scripts.values()) < 600_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentences": []}, "at least one sentence"),
        ({"sentences": "I like rabbits"}, "give a list"),
        ({"sentences": ["  "]}, "has 0 words"),
        ({"sentences": ["a <s> b"]}, "'<s>'"),
        ({"order": 1}, "order=1 is not between 2 and 4"),
        ({"order": 5}, "order=5 is not between 2 and 4"),
        ({"alpha": -1.0}, "alpha=-1.0 is not between 0 and 10"),
        ({"seed": -1}, "seed=-1 is not between"),
        ({"walk": ["I"]}, "walk=['I'] does not begin with '<s>'"),
    ],
)
def test_explorer_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MarkovExplorer(**arguments)


def test_explorer_fallback_counts():
    text = MarkovExplorer().fallback()
    assert '<tr><th scope="row">like</th><td>rabbits</td><td>1/3</td></tr>' in text
    assert '<tr><th scope="row">I</th><td>like</td><td>2/3</td></tr>' in text
    assert MarkovExplorer().sentences == list(RABBITS)
    long = MarkovExplorer([f"a{i} b{i}" for i in range(40)]).fallback()
    assert ": the first 60 of 120 rows" in long and long.count("<tr>") == 61


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], ["a"], {}), "sentences is empty"),
        ((["a c"], ["a"], {}), "'c' in 'a c' is not in the vocabulary"),
        ((["a"], ["a"], {"m": {"a": 0.5}}), "sum to 0.5"),
        ((["a"], ["a"], {"m": {"a": 0.995}}), "sum to 0.995"),
        ((["a"], ["a"], {"m": {"z": 1.0}}), "'z' is not among the 2 words"),
        ((["a"], ["a"], {"m": [[{"a": 1.0}]]}), "[1] distributions"),
    ],
)
def test_game_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ShannonGame(*arguments)


def test_game_refuses_an_unknown_unit():
    with pytest.raises(ValueError, match="unit='bytes' is neither"):
        small_game(unit="bytes")


def test_game_stores_equal_distributions_once():
    first, second = {"a": 0.5, "b": 0.25, "</s>": 0.25}, {"a": 0.125, "</s>": 0.875}
    game = ShannonGame(["a b"], ["a", "b"], {"m": [[first, second, first]]})
    assert game.models[1]["probs"] == [[0, 1, 0]]
    assert game.models[1]["table"] == [[0, 0.5, 1, 0.25, 2, 0.25], [0, 0.125, 2, 0.875]]


def test_game_asks_a_language_model_at_every_position():
    from lmcourse.markov import MaximumLikelihood

    tokenizer = WordTokenizer.train(RABBITS)
    corpus = [tokenizer.encode(line) for line in RABBITS]
    model = MaximumLikelihood(order=2, vocab_size=tokenizer.vocab_size).fit(corpus)
    game = ShannonGame.of({"bigram": model}, ["I like rabbits"], tokenizer)
    bigram = game.models[1]
    rows = [bigram["table"][row] for row in bigram["probs"][0]]
    after_like = dict(zip(rows[2][::2], rows[2][1::2], strict=True))
    assert after_like[game.vocabulary.index("rabbits")] == pytest.approx(
        1 / 3, abs=1e-5
    )
    assert len(rows) == 4 and len(after_like) == 3


def test_shannon_bounds_of_known_cases():
    for counts in ([10], [0, 7]):
        assert repr(shannon_bounds(counts)) == "(0.0, 0.0)"
    assert shannon_bounds([1] * 8) == pytest.approx((3.0, 3.0))
    lower, upper = shannon_bounds([2, 1, 1])  # 1/2, 1/4, 1/4
    assert upper == pytest.approx(1.5)
    assert lower == pytest.approx(0.75 * math.log2(3))
    for counts in ([], [0, 0], [-1, 3], [math.nan, 1]):
        with pytest.raises(ValueError, match="at least one guessed symbol"):
            shannon_bounds(counts)


@pytest.mark.parametrize("quiz", QUIZZES, ids=lambda item: item.name)
def test_every_quiz_has_a_card(quiz):
    card = QuizCard(quiz)
    assert state_of(card) == {"exercise": quiz.to_dict()}
    assert QuizCard(quiz.name).snapshot() == card.snapshot()


@pytest.mark.parametrize("exercise", CODE, ids=lambda item: item.name)
def test_every_code_exercise_has_a_card(exercise):
    card = ExerciseCard(exercise)
    assert state_of(card) == {"exercise": exercise.to_dict()}


def test_cards_refuse_the_other_kind():
    with pytest.raises(
        ValueError, match="QuizCard shows choice, number, order, predict"
    ):
        QuizCard(CODE[0])
    with pytest.raises(ValueError, match="ExerciseCard shows code"):
        ExerciseCard(QUIZZES[0])
    with pytest.raises(ValueError, match="no exercise is called"):
        QuizCard("nowhere.nothing")


def test_progress_never_reaches_the_snapshot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exercises.progress, "in_jupyter", lambda: True)
    fresh = ExerciseCard(CODE[0])
    assert not fresh.done and not list(tmp_path.iterdir())
    fresh.done = True
    again = ExerciseCard(CODE[0])
    assert again.done
    assert again.snapshot() == fresh.snapshot() and repr(again) == repr(fresh)
    again.done = False
    assert not ExerciseCard(CODE[0]).done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"job": "next wrod"},
            f"job='next wrod' is not there; choose from {list(JOBS)}",
        ),
        ({"axis": "size"}, f"axis='size' is not there; choose from {list(AXES)}"),
        ({"share": "50%"}, f"share='50%' is not there; choose from {list(SHARES)}"),
    ],
)
def test_scoreboard_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ScoreboardExplorer(**arguments)
    widget = ScoreboardExplorer()
    with pytest.raises(ValueError, match=re.escape(message)):
        for trait, value in arguments.items():
            setattr(widget, trait, value)


def test_scoreboard_holds_the_standings_of_every_job():
    widget = ScoreboardExplorer("one blank", axis=SHARE_AXIS)
    assert [board["job"] for board in widget.data] == list(JOBS)
    for board in widget.data:
        job = JOBS[board["job"]]
        assert (board["quality"], board["higher"]) == (
            job.quality,
            job.higher_is_better,
        )
        for at, share in enumerate(SHARES):
            for line, entry in zip(
                standings(board["job"], share), board["lines"], strict=True
            ):
                one = entry["shares"][at]
                assert (one["share"], one["part"]) == (share, SHARES[share])
                assert entry["name"] == line.name
                assert one["parameters"] == line.parameters
                assert (one["seconds"], one["scores"]) == (line.seconds, line.scores)
                assert one["tokens_per_second"] == line.tokens_per_second
        lines = board["lines"]
        counted = {entry["model"] for entry in lines if entry["counted"]}
        assert counted in ({"unigram", "n-gram"}, {"word by word"})
        assert {entry["model"] for entry in lines if entry["bar"]} <= set(BARS)
        assert any(entry["bar"] for entry in lines) and not lines[-1]["counted"]
    with pytest.raises(traitlets.TraitError, match="read-only"):
        widget.data = []


def test_scoreboard_fallback_says_what_standings_says():
    def score(line):
        ends = min(line.scores), max(line.scores)
        worst, best = ends if JOBS[job].higher_is_better else ends[::-1]
        return f"{statistics.fmean(line.scores):.3f} ({worst:.3f} to {best:.3f})"

    sizes = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
    for job in JOBS:
        for share in SHARES:
            text = ScoreboardExplorer(job, share=share).fallback()
            assert f"with {share} of the text" in text and JOBS[job].quality in text
            for line in standings(job, share):
                cells = re.search(f">{line.name}</th>(.*?)</tr>", text)[1]
                found = re.findall("<td>(.*?)</td>", cells)
                value, unit = found.pop(1).split()
                seconds = float(value.replace(",", "")) * sizes[unit]
                assert seconds == pytest.approx(
                    statistics.fmean(line.seconds), rel=6e-3
                )
                speed = statistics.fmean(line.tokens_per_second)
                assert found == [f"{line.parameters:,}", f"{speed:,.0f}", score(line)]
        text = ScoreboardExplorer(job, axis=SHARE_AXIS).fallback()
        for lines in zip(*(standings(job, share) for share in SHARES), strict=True):
            cells = "".join(f"<td>{score(line)}</td>" for line in lines)
            assert f'<tr><th scope="row">{lines[0].name}</th>{cells}</tr>' in text
