"""All exercises: a new one joins these tests by being declared.

For each: the stub is not attempted, the reference is correct, every misconception gets its own
explanation, and junk gets a clear answer.
"""

import dataclasses
import itertools
import json
import linecache
import math
import re
import threading
import time

import pytest
import torch

from lmcourse import exercises
from lmcourse.exercises import (
    Choice,
    CodeExercise,
    Misconception,
    Number,
    Option,
    Order,
    Predict,
    WrongAnswer,
    check,
    compare,
    progress,
    sandbox,
)


# ------------------------------------------------------------------------ exercises of this test
def _softmax(scores):
    return scores.softmax(dim=1)


def _scale_in_place(scores):
    scores /= scores.sum(dim=1, keepdim=True)
    return scores


row_softmax = CodeExercise(
    name="demo.row_softmax",
    title="Softmax of rows",
    statement="Turn every row of scores into probabilities.",
    minutes=5,
    difficulty=1,
    stub='''def row_softmax(scores):
    """Return the softmax of every row, same shape."""
    ...
''',
    reference=_softmax,
    make_inputs=lambda generator: (torch.randn(3, 5, generator=generator),),
    hints=("Each row sums to one.", "`dim=1` runs along a row."),
    misconceptions=(
        Misconception(
            "columns", lambda scores: scores.softmax(dim=0), "Your columns sum to one."
        ),
        Misconception(
            "no_division", lambda scores: scores.exp(), "The rows do not sum to one."
        ),
        Misconception("in_place", _scale_in_place, "You scaled the scores in place."),
    ),
    edge_cases=((torch.tensor([[1000.0, 0.0]]),),),
)


def _count_words(sentences):
    counts = {}
    for sentence in sentences:
        for word in sentence.split():
            counts[word] = counts.get(word, 0) + 1
    return counts


def _count_sentences(sentences):
    return _count_words([" ".join(set(sentence.split())) for sentence in sentences])


def _draw_sentences(generator):
    words = [
        chr(ord("a") + int(i)) for i in torch.randint(5, (12,), generator=generator)
    ]
    return ([" ".join(words[:7]), " ".join(words[7:])],)


count_words = CodeExercise(
    name="demo.count_words",
    title="Count words",
    statement="Count.",
    minutes=5,
    difficulty=1,
    stub="def count_words(sentences):\n    ...\n",
    reference=_count_words,
    make_inputs=_draw_sentences,
    hints=("Use a dictionary.", "Split on spaces."),
    misconceptions=(
        Misconception(
            "sentences", _count_sentences, "You counted sentences that hold the word."
        ),
        Misconception(
            "first", lambda sentences: _count_words(sentences[:1]), "One sentence only."
        ),
        Misconception(
            "letters",
            lambda s: _count_words([" ".join(s).replace(" ", "")]),
            "Spaces are lost.",
        ),
    ),
)

entropy = CodeExercise(
    name="demo.entropy",
    title="Entropy",
    statement="In bits.",
    minutes=5,
    difficulty=2,
    stub="def entropy(probs):\n    raise NotImplementedError\n",
    reference=lambda probs: float(-(probs * probs.log2()).sum()),
    make_inputs=lambda generator: (torch.rand(4, generator=generator).softmax(dim=0),),
    hints=("A sum.", "log2."),
    misconceptions=(
        Misconception("nats", lambda p: float(-(p * p.log()).sum()), "In nats."),
        Misconception("sign", lambda p: float((p * p.log2()).sum()), "Negative."),
        Misconception("mean", lambda p: float(-p.log2().mean()), "Not weighted."),
    ),
)

QUIZZES = [
    Choice(
        name="demo.choice",
        title="A coin",
        question="How many bits?",
        minutes=1,
        difficulty=1,
        options=(
            Option("One.", "Yes.", correct=True),
            Option("Two.", "That is two coins."),
        ),
    ),
    Number(
        name="demo.number",
        title="Three",
        question="log2(3)?",
        minutes=1,
        difficulty=1,
        answer=math.log2(3),
        tolerance=0.01,
        unit="bits",
        why="It is log2(3).",
        wrong=(WrongAnswer(math.log(3), "In nats."),),
    ),
    Order(
        name="demo.order",
        title="Steps",
        question="In order?",
        minutes=1,
        difficulty=1,
        items=("count", "divide", "sample"),
        why="Yes.",
        wrong=(WrongAnswer(("divide", "count", "sample"), "Divide what?"),),
    ),
    Predict(
        name="demo.predict",
        title="Power",
        question="What is printed?",
        minutes=1,
        difficulty=1,
        code="print(2 ** 3)\nprint('end')",
        why="Yes.",
        wrong=(WrongAnswer("6\nend", "Not times."),),
    ),
]

ALL = [row_softmax, count_words, entropy, *QUIZZES, *exercises.all_exercises()]
CODE = [item for item in ALL if isinstance(item, CodeExercise)]
QUIZ = [item for item in ALL if not isinstance(item, CodeExercise)]

cells = itertools.count()


def define(code: str):
    """Run code as a notebook cell does, with its source kept; return the last function."""
    name = f"<cell {next(cells)}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    namespace = {"torch": torch}
    exec(compile(code, name, "exec"), namespace)
    return [item for item in namespace.values() if callable(item)][-1]


def by_name(items):
    return {"argvalues": items, "ids": lambda item: getattr(item, "name", str(item))}


# ------------------------------------------------------------------------------- every exercise


@pytest.mark.parametrize("item", **by_name(CODE))
def test_the_stub_is_not_attempted(item):
    outcome = check(item, define(item.stub))
    assert outcome.outcome == exercises.NOT_ATTEMPTED
    assert check(item).outcome == exercises.NOT_ATTEMPTED
    assert repr(outcome).startswith("○ not attempted.")


@pytest.mark.parametrize("item", **by_name(CODE))
def test_the_reference_is_correct(item):
    outcome = check(item, item.reference)
    assert outcome.outcome == exercises.CORRECT, outcome


@pytest.mark.parametrize(
    ("item", "misconception"),
    [(item, misconception) for item in CODE for misconception in item.misconceptions],
    ids=lambda value: value.name,
)
def test_each_misconception_gets_its_own_explanation(item, misconception):
    outcome = check(item, misconception.wrong)
    assert outcome.outcome == exercises.NOT_YET
    assert outcome.misconception == misconception.name, outcome
    assert outcome.message == misconception.explanation


@pytest.mark.parametrize("item", **by_name(CODE))
def test_misconceptions_have_names_and_explanations_of_their_own(item):
    for attribute in ("name", "explanation"):
        values = [
            getattr(misconception, attribute) for misconception in item.misconceptions
        ]
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("item", **by_name(CODE))
def test_inputs_are_fresh_yet_the_same_in_every_run(item):
    first, second = item.inputs(), item.inputs()
    for left, right in zip(first, second, strict=True):
        assert compare.changed_argument(left, right) is None
    assert len(first) == len(item.edge_cases) + 6


def _raises(*_):
    raise KeyError("nothing here")


def _exits(*_):
    raise SystemExit(3)


def _loops(*_):
    while True:
        pass


def _loops_stubbornly(*_):
    while True:
        try:
            time.sleep(0.001)
        except BaseException:  # a bare except catches the stop, too, but not for ever
            if time.monotonic() % 1 < 0.5:
                raise


def _generates(*_):
    yield 1


def _prints(*_):
    for number in range(500):
        print("line", number)


def _recurses(*arguments):
    return _recurses(*arguments)


class Odd:
    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None

    def __repr__(self):
        raise RuntimeError("no repr")


CYCLE: list = []
CYCLE.append(CYCLE)

JUNK_ANSWERS = {
    "None": None,
    "text": "text",
    "number": 1.5,
    "nan": math.nan,
    "list": [1, 2],
    "tensor": torch.zeros(3),
    "odd": Odd(),
    "cycle": CYCLE,
}
JUNK_FUNCTIONS = {
    "returns None": lambda *_: None if _ else None,
    "returns text": lambda *_: "text",
    "returns NaN": lambda *_: math.nan,
    "returns NaN tensor": lambda *_: torch.full((3, 5), math.nan),
    "returns wrong shape": lambda *_: torch.zeros(2, 7, 11),
    "returns itself": _raises.__get__(1),
    "returns odd": lambda *_: Odd(),
    "returns cycle": lambda *_: CYCLE,
    "returns a set": lambda *_: {1, 2},
    "returns a dictionary": lambda *_: {object(): 1},
    "returns many": lambda *_: list(range(10_000)),
    "raises": _raises,
    "exits": _exits,
    "recurses": _recurses,
    "generates": _generates,
    "prints": _prints,
    "wrong number of arguments": lambda a, b, c, d, e, f, g: None,
    "no arguments": lambda: 1,
    "a class": Odd,
    "built-in": iter,
}


@pytest.mark.parametrize("junk", JUNK_ANSWERS)
@pytest.mark.parametrize("item", **by_name(CODE))
def test_junk_instead_of_a_function(item, junk):
    outcome = check(item, JUNK_ANSWERS[junk])
    assert outcome.outcome == exercises.NOT_YET
    assert "no function" in outcome.message
    assert_stable_text(outcome)


@pytest.mark.parametrize("junk", JUNK_FUNCTIONS)
@pytest.mark.parametrize("item", **by_name(CODE))
def test_junk_functions_get_a_clear_message(item, junk):
    outcome = check(item, JUNK_FUNCTIONS[junk])
    assert outcome.outcome == exercises.NOT_YET
    assert len(outcome.message) > 20
    assert_stable_text(outcome)


@pytest.mark.parametrize("loop", [_loops, _loops_stubbornly])
@pytest.mark.parametrize("item", **by_name(CODE))
def test_endless_loops_are_stopped(item, loop, monkeypatch):
    object.__setattr__(item, "time_limit", 0.2)
    start, threads = time.monotonic(), threading.active_count()
    outcome = check(item, loop)
    assert outcome.outcome == exercises.NOT_YET
    assert "did not finish within 0.2 seconds (your line" in outcome.message
    assert time.monotonic() - start < 10
    time.sleep(0.1)
    assert threading.active_count() <= threads


def test_slow_misconception_is_not_an_endless_loop(monkeypatch):
    item = CODE[0]
    object.__setattr__(item, "time_limit", 0.1)
    slow = [dataclasses.replace(each, wrong=_loops) for each in item.misconceptions]
    monkeypatch.setitem(item.__dict__, "misconceptions", tuple(slow))
    assert "did not finish" in check(item, _loops).message


@pytest.fixture(autouse=True)
def keep_time_limits():
    limits = {item: item.time_limit for item in CODE}
    yield
    for item, limit in limits.items():
        object.__setattr__(item, "time_limit", limit)


def assert_stable_text(outcome):
    for text in (repr(outcome), outcome._repr_markdown_()):
        assert " at 0x" not in text
        assert len(text) < 3000


@pytest.mark.parametrize("item", **by_name(QUIZ))
def test_quizzes_judge_right_foreseen_and_junk_answers(item):
    what = item.to_dict()
    assert check(item).outcome == exercises.NOT_ATTEMPTED
    if what["kind"] == "choice":
        for index, option in enumerate(what["options"]):
            for answer in ("abcdefgh"[index], option["text"]):
                outcome = check(item, answer)
                assert (outcome.outcome == exercises.CORRECT) == option["correct"]
                assert outcome.message == option["why"]
    else:
        assert check(item, what["answer"]).outcome == exercises.CORRECT
        assert check(item, what["answer"]).message == what["why"]
        for wrong in what["wrong"]:
            outcome = check(item, wrong["answer"])
            assert (outcome.outcome, outcome.message) == (
                exercises.NOT_YET,
                wrong["why"],
            )
    for junk in [
        *JUNK_ANSWERS.values(),
        *JUNK_FUNCTIONS.values(),
        True,
        "",
        [],
        object(),
    ]:
        outcome = check(item, junk)
        if outcome.outcome != exercises.NOT_YET:
            assert what["kind"] == "number" and junk == 1.5  # may be right by chance
        assert len(outcome.message) > 10
        assert_stable_text(outcome)


@pytest.mark.parametrize("item", **by_name(ALL))
def test_what_a_card_shows_is_json_without_gaps(item):
    what = item.to_dict()
    assert json.loads(json.dumps(what)) == what
    assert 1 <= what["difficulty"] <= 5 and what["minutes"] >= 1
    for key, value in what.items():
        if key != "unit" and isinstance(value, str):
            assert value.strip(), f"{item.name}: {key} is empty"


def texts_of(value):
    """All prose of an exercise: every text but code."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        code = ("code", "stub", "solution", "answer")
        value = [item for key, item in value.items() if key not in code]
    return (
        [text for item in value for text in texts_of(item)]
        if isinstance(value, list)
        else []
    )


@pytest.mark.parametrize("item", **by_name(ALL))
def test_no_text_holds_a_table(item):
    """A card in the page draws lists, code and formulas, but no table."""
    lines = "\n".join(texts_of(item.to_dict())).splitlines()
    assert [line for line in lines if line.startswith("|")] == []


@pytest.mark.parametrize("item", **by_name(ALL))
def test_a_power_stands_in_code(item):
    said = [m.explanation for m in getattr(item, "misconceptions", ())]
    for text in texts_of(item.to_dict()) + said:
        bare = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$", "", text, flags=re.DOTALL)
        assert not re.search(r"\w\*\*\w", bare), (
            text
        )  # 2**6 ... 2**3 would be read as bold


def test_names_are_unique():
    names = [item.name for item in ALL]
    assert len(set(names)) == len(names)


# ------------------------------------------------------------------------------------ the engine


def test_messages_point_at_the_readers_own_line():
    function = define(
        "def f(scores):\n    total = scores.sum()\n    return total / 0 / {}\n"
    )
    outcome = check(row_softmax, function)
    assert "TypeError" in outcome.message
    assert "(your line 3: `return total / 0 / {}`)" in outcome.message
    function = define(
        "def f(scores):\n    if True:\n        return scores.T\n    return scores\n"
    )
    message = check(row_softmax, function).message
    assert (
        "has shape (5, 3), expected (3, 5) (your line 3: `return scores.T`)" in message
    )
    function = define("def f(scores):\n    while True:\n        scores = scores\n")
    object.__setattr__(row_softmax, "time_limit", 0.2)
    assert "(your line " in check(row_softmax, function).message


@pytest.mark.parametrize(
    "code",
    [
        "def f(scores):\n    ...\n",
        "def f(scores):\n    '''Doc.'''\n",
        "def f(scores):\n    '''Doc.'''\n    pass\n",
        "def f(scores):\n    raise NotImplementedError\n",
        "def f(scores):\n    return ...\n",
        "def f(scores):\n    total = ...\n    return scores / total\n",
        "def f(scores):\n    rows = scores.exp()\n    return ...\n",
    ],
)
def test_a_stub_may_be_written_in_many_ways(code):
    assert check(row_softmax, define(code)).outcome == exercises.NOT_ATTEMPTED


def test_return_none_is_an_attempt():
    outcome = check(row_softmax, define("def f(scores):\n    return None\n"))
    assert outcome.outcome == exercises.NOT_YET
    assert "The result is None" in outcome.message


def test_a_changed_input_is_told_and_ours_is_safe():
    def right_but_rude(scores):
        result = scores.softmax(dim=1)
        scores.zero_()
        return result

    outcome = check(row_softmax, right_but_rude)
    assert outcome.outcome == exercises.NOT_YET
    assert "has changed its argument `scores`" in outcome.message
    assert check(row_softmax, _softmax).outcome == exercises.CORRECT


def test_prints_are_shown_in_short():
    def chatty(scores):
        print("shape", tuple(scores.shape))
        return scores.softmax(dim=1)

    outcome = check(row_softmax, chatty)
    assert outcome.outcome == exercises.CORRECT
    assert outcome.printed == "shape (3, 5)"
    assert "```text\nshape (3, 5)\n```" in outcome._repr_markdown_()
    assert check(row_softmax, _prints).printed.endswith("... (and more)")


def test_signature_messages_name_both_sides():
    message = check(row_softmax, lambda a, b: a).message
    assert "takes `(a, b)`, but it is called with 1 argument" in message


def test_only_part_of_the_inputs_wrong_is_no_misconception():
    def sometimes(scores):
        return scores.softmax(dim=0) if scores.shape[0] == 1 else scores.softmax(dim=1)

    outcome = check(row_softmax, sometimes)
    assert outcome.misconception == "" and outcome.outcome == exercises.NOT_YET
    assert "at [0, 1] is 1.0, expected 0.0" in outcome.message
    assert outcome.message.startswith("Ordinary inputs are right. A special case: The")


def test_a_misconception_may_fail_in_its_own_way_on_a_special_case():
    def columns(scores):
        return scores.softmax(dim=0) if scores.shape[0] > 1 else scores / 0

    assert check(row_softmax, columns).misconception == "columns"


def test_a_judge_may_accept_many_answers():
    def judge(arguments, expected, answer):
        return None if answer in arguments[0] else f"{answer} is not in the list"

    pick = CodeExercise(
        name="demo.pick",
        title="Pick",
        statement="Any.",
        minutes=1,
        difficulty=1,
        stub="def pick(values):\n    ...\n",
        reference=lambda values: values[0],
        make_inputs=lambda generator: (
            torch.randperm(9, generator=generator).tolist(),
        ),
        hints=("a", "b"),
        misconceptions=(
            Misconception(
                "index", lambda values: 100 + len(values), "That is an index."
            ),
            Misconception("sum", sum, "That is the sum."),
            Misconception("minus", lambda values: -1 - values[0], "Less than nothing."),
        ),
        judge=judge,
    )
    assert check(pick, lambda values: values[3]).outcome == exercises.CORRECT
    assert check(pick, lambda values: 50).message.startswith(
        "50 is not in the list (your line"
    )
    assert check(pick, sum).misconception == "sum"


@pytest.mark.parametrize(
    ("expected", "answer", "message"),
    [
        (
            torch.zeros(2),
            [0.0, 0.0],
            "the result is a list, expected a torch.Tensor of shape (2,); "
            "`torch.tensor(...)` makes one",
        ),
        (
            torch.zeros(2),
            torch.tensor([0.0, 1.0]),
            "at [1] is 1.0, expected 0.0 (1 of 2",
        ),
        (
            torch.zeros(2) == 0,
            torch.ones(2),
            "holds torch.float32, expected torch.bool",
        ),
        (torch.tensor([1.0, -math.inf]), torch.tensor([1.0, -math.inf]), ""),
        (torch.tensor([1.0, -math.inf]), torch.tensor([1.0, -1e30]), "expected -inf"),
        (torch.tensor(1.0), 1.0, ""),
        (1.0, torch.tensor(1.0), ""),
        (1.0, torch.ones(1), "has shape (1,), expected a single number"),
        (1, True, "is True, expected 1"),
        ({"a": 1}, {"b": 1}, "lacks the key 'a' and has the key 'b' too much"),
        (
            {"a": [1.0]},
            {"a": [2.0]},
            "entry 0 of the result for 'a' is 2.0, expected 1.0",
        ),
        ("x", "y", "is 'y', expected 'x'"),
        (None, 1, "is 1, expected None"),
        (torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float32), ""),
        (torch.ones(2), torch.ones(2, requires_grad=True), ""),
        ([1, 2], [1], "has 1 entries, expected 2"),
        (-0.0, 1.0, "is 1.0, expected 0.0"),
    ],
)
def test_differences_are_said_in_words(expected, answer, message):
    found = compare.difference(expected, answer, tolerance=1e-6)
    assert message in found if message else found == ""


def test_inputs_of_some_length_are_shown_whole():
    long = [f"word number {i}" for i in range(20)]
    message = check(count_words, lambda sentences: {"a": 1}).message
    assert "The input was `['" in message
    assert len(compare.show(long)) == compare.SHORT
    assert compare.show(long, compare.LONG) == repr(long)


def test_numbers_are_read_as_readers_write_them():
    number = QUIZZES[1]  # log2(3), in bits
    for answer in ("1.585", "1,58", "317/200", " 1.585 bits", "1.585bit", 1.585):
        assert check(number, answer).outcome == exercises.CORRECT, answer
    for answer in ("1,585", "log2(3)", "1.585 nats", "1/0", "1/2/3", "", "nan"):
        message = check(number, answer).message
        assert "a number or a fraction, such as 0.25 or 1/4, in bits" in message, answer


def test_predictions_are_compared_by_their_words_and_numbers():
    quiz = Predict(
        name="demo.list",
        title="List",
        question="What is printed?",
        minutes=1,
        difficulty=1,
        code="print([0.0, 0.44], 'end')",
        why="Yes.",
    )
    for answer in ("[0.0, 0.44] end", "[0,.44]end", "0 0.44 end", [0, 0.44, "end"]):
        right = check(quiz, answer).outcome == exercises.CORRECT
        assert right == isinstance(answer, str), answer  # a list shows its quotes
    for answer in ("[0.44, 0] end", "[0, 0.4] end", "[0, 0.44]", "0 0.44 End"):
        assert check(quiz, answer).outcome == exercises.NOT_YET


def test_options_are_shown_shuffled_the_same_in_every_run():
    places = set()
    for i in range(20):
        options = tuple(Option(text, text, correct=text == "a") for text in "abc")
        quiz = Choice(
            name=f"demo.{i}",
            title="Any",
            question="Which?",
            minutes=1,
            difficulty=1,
            options=options,
        )
        shown = [option.text for option in quiz.shuffled()]
        assert sorted(shown) == ["a", "b", "c"] and quiz.shuffled() == quiz.shuffled()
        places.add(shown.index("a"))
    assert places == {0, 1, 2}


def test_standard_output_comes_back():
    import sys

    before = sys.stdout
    sandbox.call(_loops, (), time_limit=0.1)
    sandbox.call(_raises, (), time_limit=1.0)
    assert sys.stdout is before


def test_unknown_names_tell_the_nearest():
    with pytest.raises(ValueError, match="no exercise is called 'nothing.here'"):
        check("nothing.here", 1)


def test_declarations_are_checked():
    with pytest.raises(ValueError, match="2 of 2 options are correct"):
        Choice(
            name="demo.x",
            title="x",
            question="x",
            minutes=1,
            difficulty=1,
            options=(Option("a", "a", correct=True), Option("b", "b", correct=True)),
        )
    with pytest.raises(ValueError, match="within tolerance"):
        Number(
            name="demo.x",
            title="x",
            question="x",
            minutes=1,
            difficulty=1,
            answer=1,
            tolerance=0.1,
            why="x",
            wrong=(WrongAnswer(1.05, "x"),),
        )
    with pytest.raises(ValueError, match="difficulty=6"):
        Predict(
            name="demo.x",
            title="x",
            question="x",
            minutes=1,
            difficulty=6,
            code="",
            why="x",
        )


def test_progress_is_noted_only_in_jupyter_and_only_when_solved(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "FOLDER", tmp_path / ".lmcourse")
    check(row_softmax, _softmax)
    assert progress.read() == {}
    monkeypatch.setattr(progress, "in_jupyter", lambda: True)
    check(row_softmax)
    assert not (tmp_path / ".lmcourse").exists()
    check(row_softmax, _softmax)
    check(QUIZZES[0], "One.")
    assert progress.read() == {"demo.choice": True, "demo.row_softmax": True}
    (tmp_path / ".lmcourse" / "progress.json").write_text("broken", encoding="utf-8")
    assert progress.read() == {}
