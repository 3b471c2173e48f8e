"""The widgets in a page: by mouse and by keyboard, wide and narrow, light and dark, http and disk.

The pages here hold nothing but snapshots and the scripts the book ships.
"""

from __future__ import annotations

import math
import random

import pytest
import torch
from widget_page import press, status, tab_to, violations

from lmcourse import exercises
from lmcourse.data.rabbits import RABBITS
from lmcourse.exercises import CORRECT
from lmcourse.markov import Additive, MaximumLikelihood
from lmcourse.tokenizers import BOS, WordTokenizer
from lmcourse.widgets import (
    ExerciseCard,
    MarkovExplorer,
    QuizCard,
    ShannonGame,
    shannon_bounds,
)
from lmcourse.widgets.base import bundle

QUIZZES = [
    item for item in exercises.all_exercises() if item.to_dict()["kind"] != "code"
]
CODE = [item for item in exercises.all_exercises() if item.to_dict()["kind"] == "code"]
BY_KIND = {item.to_dict()["kind"]: item for item in reversed(QUIZZES)}


def game(unit: str = "words") -> ShannonGame:
    after = {"the": {"dog": 0.5, "cat": 0.5}, "dog": {"sleeps": 0.75, "</s>": 0.25}}
    after |= {"cat": {"sleeps": 1.0}, "sleeps": {"</s>": 1.0}}
    sentences = ["the dog sleeps", "the cat sleeps"]
    rows = [
        [{"the": 1.0}, *(after[word] for word in line.split())] for line in sentences
    ]
    unigram = {"the": 0.25, "dog": 0.125, "cat": 0.125, "sleeps": 0.25, "</s>": 0.25}
    models = {"unigram": unigram, "true grammar": rows}
    words = ["the", "dog", "cat", "sleeps"]
    return ShannonGame(sentences, words, models, examples=sentences, unit=unit)


PAGES = {
    "explorer": lambda: [MarkovExplorer()],
    "game": lambda: [game()],
    "letters": lambda: [game("letters")],
    "quizzes": lambda: [
        QuizCard(BY_KIND[k]) for k in ("choice", "number", "order", "predict")
    ],
    "exercise": lambda: [ExerciseCard(CODE[0])],
}


def snapshots() -> dict[str, str]:
    """A page for every widget, and pages that cannot work."""
    snapshots = {
        name: "\n".join(widget.snapshot() for widget in make())
        for name, make in PAGES.items()
    }
    broken = MarkovExplorer().snapshot().replace("markov_explorer", "missing")
    return snapshots | {"broken": broken}


def play(page, name: str) -> None:
    """A little use of every widget, so that what appears later is looked at too."""
    if name == "explorer":
        page.get_by_role("button", name="Sample a sentence").click()
        page.get_by_text("Table of counts").click()
        page.get_by_label("A sentence of your own").fill("I like cats")
    elif name in ("game", "letters"):
        page.get_by_text("A few sentences").click()
        page.get_by_role("button", name="s", exact=True).or_(
            page.get_by_role("button", name="sleeps", exact=True)
        ).first.click()
        for _ in range(3):
            page.get_by_role("button", name="Reveal").click()
    elif name == "quizzes":
        page.get_by_role("radio").first.check()
        for button in page.get_by_role("button", name="Check").all():
            button.click()
    else:
        page.get_by_role("button", name="Hint 1").click()
        page.get_by_role("button", name="Show the solution").click()
        page.get_by_role("button", name="Yes, show it").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", PAGES)
def test_no_error_no_overflow_nothing_for_axe(visit, name, width, scheme):
    page = visit(name, width=width, scheme=scheme)
    assert page.locator(".lmcourse-widget:not([data-state=live])").count() == 0
    play(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


@pytest.mark.parametrize("name", PAGES)
def test_over_http_too(visit, name):
    page = visit(name, "http")
    play(page, name)
    assert page.log == []


def test_a_missing_script_is_said_and_the_fallback_stays(visit):
    page = visit("broken", "http")
    assert "could not start" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("cell", name="1/3").first.is_visible()
    page.log.clear()  # the missing file is what is tested here


def test_without_scripts_the_fallback_is_read(read_without_scripts):
    page = read_without_scripts("explorer")
    assert page.get_by_role("cell", name="1/3").first.is_visible()


def test_on_paper_the_fallback_stands_for_the_widget(visit):
    page = visit("explorer")
    assert not page.locator(".lmcourse-fallback").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".lmcourse-fallback").is_visible()
    assert not page.locator(".lmcourse-live").is_visible()


# --- the Markov explorer


@pytest.fixture
def explorer(visit):
    page = visit("explorer")
    return page


def test_explorer_by_mouse(explorer):
    assert "8 states, 10 arrows." in status(explorer)
    explorer.get_by_label("Sentences, one per line").fill(
        "I like rabbits\nI like rabbits\nI sleep"
    )
    assert "6 states, 6 arrows." in status(explorer)
    explorer.locator(".lc-node", has_text="I").first.click()  # a state of the graph
    assert "After “I”: like (2/3), sleep (1/3)." in status(explorer)
    explorer.get_by_role("button", name="sleep 1/3").click()
    explorer.get_by_role("button", name="</s> 1").click()
    assert "the sentence is complete" in status(explorer)
    assert explorer.get_by_role("button", name="Step at random").is_disabled()
    explorer.get_by_label("The model sees the last").select_option("3")
    assert "After “<s>”: I (1)." in status(explorer)
    explorer.get_by_label("Added to every count").fill("1")
    explorer.keyboard.press("Tab")
    assert "Only counted transitions are drawn" in status(explorer)


def test_explorer_by_keyboard(explorer):
    tab_to(explorer, explorer.get_by_label("Sentences, one per line"))
    explorer.keyboard.press("Control+End")
    explorer.keyboard.type("\nyou sleep")
    assert "After “<s>”: I (3/4), you (1/4)." in status(explorer)
    press(explorer, "you 1/4")
    assert "After “you”: sleep (1)." in status(explorer)
    explorer.keyboard.press("Enter")  # the focus has moved to the next word
    explorer.keyboard.press("Enter")
    assert "the sentence is complete" in status(explorer)
    assert explorer.evaluate("document.activeElement.textContent") == "Start again"
    explorer.keyboard.press("Enter")
    press(explorer, "Step at random", "Space")
    press(explorer, "Sample a sentence")
    assert "the sentence is complete" in status(explorer)
    tab_to(explorer, explorer.get_by_label("A sentence of your own"))
    explorer.keyboard.press("Control+A")
    explorer.keyboard.type("I like cats")
    assert "Probability 0: “cats” occurs in none of the sentences." in status(explorer)


def test_explorer_says_what_is_impossible_and_why(explorer):
    typed = explorer.get_by_label("A sentence of your own")
    typed.fill("I like snails")
    assert "P = 0.222" in status(explorer)
    typed.fill("I don't rabbits")
    assert "Probability 0: “rabbits” never follows “don't”." in status(explorer)
    assert "its perplexity is infinite" in status(explorer)
    explorer.get_by_label("The model sees the last").select_option("3")
    typed.fill("I like")
    assert "Probability 0: “</s>” never follows “I like”." in status(explorer)
    explorer.get_by_label("Sentences, one per line").fill("")
    assert explorer.get_by_role("alert").inner_text() == "Type at least one sentence."
    explorer.get_by_label("Sentences, one per line").fill("a <s> b")
    assert "cannot be words" in explorer.get_by_role("alert").inner_text()


def test_explorer_walks_the_same_way_from_the_same_seed(explorer):
    def walks() -> list[str]:
        explorer.get_by_role("button", name="Start again").click()
        found = []
        for _ in range(6):
            explorer.get_by_role("button", name="Sample a sentence").click()
            found.append(explorer.locator(".lc-path").inner_text())
        return found

    first = walks()
    assert walks() == first and len(set(first)) > 1
    explorer.get_by_label("Seed").fill("7")
    explorer.keyboard.press("Tab")
    assert walks() != first


def test_what_is_typed_is_only_text(explorer):
    evil = "<img src=x onerror=document.title='hacked'> __proto__ constructor"
    explorer.get_by_label("Sentences, one per line").fill(evil)
    explorer.get_by_label("A sentence of your own").fill(evil)
    assert explorer.locator(".lmcourse img").count() == 0
    assert explorer.title() == "Widgets"
    assert "P = 1" in status(explorer)


def test_a_large_text_is_drawn_in_part(explorer):
    words = [f"word{i} next{i}" for i in range(60)]
    explorer.get_by_label("Sentences, one per line").fill("\n".join(words))
    assert "The 81 rarest states are not drawn." in status(explorer)
    assert explorer.locator(".lc-node").count() == 41


# --- Shannon's game


def test_game_by_mouse(visit):
    page = visit("game")
    page.get_by_role("button", name="cat", exact=True).click()
    assert "Not “cat”. 1 wrong guess so far." in status(page)
    page.get_by_role("button", name="cat", exact=True).click(force=True)
    assert "You have tried “cat” already." in status(page)
    page.get_by_role("button", name="the", exact=True).click()
    assert "Right: “the”, after 2 guesses. The true grammar gave it 1." in status(page)
    page.get_by_role("button", name="dog", exact=True).click()
    page.get_by_role("button", name="Reveal").click()
    assert "It was “sleeps”." in status(page)
    page.get_by_role("button", name="⏎ end").click()
    assert "The sentence is complete." in status(page)
    row = page.get_by_role("row", name="true grammar").inner_text().split()
    # bits: the 0, dog 1, sleeps log2(4/3), </s> 0
    assert row[-1] == f"{(1 + math.log2(4 / 3)) / 4:.2f}"
    page.get_by_role("button", name="Next sentence").click()
    assert "Sentence 2 of 2." in status(page)
    assert "guesses a word. Best model here: true grammar, 1.1 guesses." in status(page)
    assert "Shannon's bounds on the entropy come after 50 words; so far 4." in (
        page.inner_text("main")
    )
    page.get_by_role("button", name="Start again").click()
    assert page.get_by_role("table").count() == 0


def test_a_game_is_kept_in_the_browser(visit, pages):
    page = visit("game", "http")
    page.get_by_role("button", name="the", exact=True).click()
    page.reload()
    page.evaluate("() => window.lmcourse.ready")
    assert "You: 1.0 guess a word." in status(page)
    page.goto(f"{pages['http']}/letters.html")  # the same sentences, guessed as words
    page.evaluate("() => window.lmcourse.ready")
    assert "You: 1.0 guess a word." in status(page)
    page.get_by_role("button", name="Start again").click()
    page.reload()
    page.evaluate("() => window.lmcourse.ready")
    assert page.get_by_role("table").count() == 0


def test_bounds_come_after_fifty_symbols(visit):
    page = visit("game", "http")
    for count in (49, 50):
        guess = {"sentence": 0, "position": 0, "guesses": 1, "revealed": False}
        page.evaluate(
            """([guesses, sentences]) => localStorage.setItem(
                `lmcourse:shannon_game:${sentences[0]}`, JSON.stringify(
                    { sentences: JSON.stringify(sentences), unit: "words", sentence: 0, guesses }
                ))""",
            [[guess] * count, game().sentences],
        )
        page.reload()
        page.evaluate("() => window.lmcourse.ready")
        between = page.get_by_role("columnheader", name="entropy of the text")
        assert between.count() == (count == 50)


def test_game_by_keyboard(visit):
    page = visit("game")
    tab_to(page, page.get_by_label("Your guess"))
    for guess in ("zebra", "the", "cat", "do", "sleeps", "."):
        page.keyboard.press("Control+A")
        page.keyboard.type(guess)
        if guess == "zebra":
            page.keyboard.press("Enter")
            assert "“zebra” is none of the 5 words. (Not counted.)" in status(page)
            continue
        page.keyboard.press("Enter")
    assert "The sentence is complete." in status(page)
    page.keyboard.press("Enter")  # the focus is on "Next sentence"
    assert "Sentence 2 of 2." in status(page)
    page.keyboard.type("the")  # and then in the field
    page.keyboard.press("Enter")
    press(page, "Reveal")
    assert "It was “cat”." in status(page)


def test_letters_by_keyboard(visit):
    page = visit("letters")
    tab_to(page, page.get_by_label("Your guess"))
    page.keyboard.type("tHe cdog sleeps ")
    page.keyboard.press("Enter")
    assert "Right: the end of the sentence, after 1 guess." in status(page)
    row = page.get_by_role("row", name="true grammar").inner_text().split()
    letters = len("the dog sleeps ") + 1
    assert row[-1] == f"{(1 + math.log2(4 / 3)) / letters:.2f}"


# --- the cards


def test_quizzes_by_mouse(visit):
    page = visit("quizzes", "http")
    cards = page.get_by_role("group", name="Quiz")
    choice = BY_KIND["choice"].to_dict()
    card = cards.nth(0)
    card.get_by_role("button", name="Check").click()
    assert "one of the options first" in card.get_by_role("status").inner_text()
    for option in [
        *(o for o in choice["options"] if not o["correct"]),
        choice["options"][0],
    ]:
        card.get_by_role("radio").nth(choice["options"].index(option)).check()
        card.get_by_role("button", name="Check").click()
        said = card.get_by_role("status").inner_text()
        assert said.startswith("✓ Right." if option["correct"] else "✗ Not yet.")
    right = next(i for i, option in enumerate(choice["options"]) if option["correct"])
    card.get_by_role("radio").nth(right).check()
    card.get_by_role("button", name="Check").click()
    assert "✓ done" in card.inner_text()
    page.reload()
    page.evaluate("() => window.lmcourse.ready")
    assert "✓ done" in cards.nth(0).inner_text()
    assert "not done yet" in cards.nth(1).inner_text()


def test_quizzes_by_keyboard(visit):
    page = visit("quizzes")
    cards = page.get_by_role("group", name="Quiz")
    choice, number, order, predict = (
        BY_KIND[kind].to_dict() for kind in ("choice", "number", "order", "predict")
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    right = next(i for i, option in enumerate(choice["options"]) if option["correct"])
    for _ in range(right):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "✓ Right." in cards.nth(0).inner_text()

    tab_to(page, cards.nth(1).get_by_role("textbox"))
    page.keyboard.type(f"{number['answer']!r}/1")
    page.keyboard.press("Enter")
    assert "✓ Right." in cards.nth(1).inner_text()

    shown = list(order["items"])
    for place, item in enumerate(order["answer"]):
        while shown.index(item) > place:
            at = shown.index(item)
            button = cards.nth(2).get_by_role(
                "button", name=f"Move up: {item}", exact=True
            )
            button.focus()
            page.keyboard.press("Enter")
            shown[at - 1], shown[at] = shown[at], shown[at - 1]
    tab_to(page, cards.nth(2).get_by_role("button", name="Check"))
    page.keyboard.press("Enter")
    assert "✓ Right." in cards.nth(2).inner_text()

    tab_to(page, cards.nth(3).get_by_role("textbox"))
    page.keyboard.type(predict["answer"])
    tab_to(page, cards.nth(3).get_by_role("button", name="Check"))
    page.keyboard.press("Enter")
    assert "✓ Right." in cards.nth(3).inner_text()


def test_quiz_without_storage(pages, browser):
    context = browser.new_context()
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } });"
    )
    page = context.new_page()
    page.goto(f"{pages['http']}/exercise.html")
    page.evaluate("() => window.lmcourse.ready")
    page.get_by_role("checkbox").check()
    assert "✓ done" in page.get_by_role("group").first.inner_text()
    context.close()


def test_exercise_by_keyboard(visit):
    page = visit("exercise", "http")
    exercise = CODE[0].to_dict()
    n_hints = len(exercise["hints"])
    press(page, f"Hint 1 of {n_hints}")
    assert page.locator(".lc-hint").count() == 1
    press(page, "Show the solution")
    assert "Show the solution now?" in page.inner_text("main")
    page.keyboard.press("Enter")  # the focus is on "I will try again"
    assert page.locator("pre", has_text=exercise["solution"].strip()).count() == 0
    page.keyboard.press("Enter")
    press(page, "Yes, show it")
    shown = page.get_by_label("A solution").inner_text()
    assert shown.strip() == exercise["solution"].strip()
    tab_to(page, page.get_by_role("checkbox"))
    page.keyboard.press("Space")
    page.reload()
    page.evaluate("() => window.lmcourse.ready")
    assert page.get_by_role("checkbox").is_checked()
    assert "✓ done" in page.inner_text("main")


# --- what the scripts compute is what Python computes


@pytest.fixture
def module(visit):
    """`call(widget, expression, *arguments)`: an expression over a module's exports."""
    page = visit("exercise")

    def call(widget: str, expression: str, *arguments: object) -> object:
        # What a widget takes from common.js is inside its module; let it out here.
        also = "\nexport { random, draw };" if widget == "markov_explorer" else ""
        return page.evaluate(
            """async ([source, expression, values]) => {
                const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
                const js = await import(url);
                return new Function("js", "args", `return ${expression}`)(js, values);
            }""",
            [bundle(f"{widget}.js") + also, expression, list(arguments)],
        )

    return call


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_explorer_counts_as_the_package_does(module, order, alpha):
    dice = random.Random(order)
    words = "a b c d e f".split()
    texts = [" ".join(dice.choices(words, k=dice.randint(1, 7))) for _ in range(30)]
    for corpus in (list(RABBITS), texts):
        tokenizer = WordTokenizer.train(corpus)
        sentences = [tokenizer.encode(line) for line in corpus]
        size = {"order": order, "vocab_size": tokenizer.vocab_size}
        model = Additive(**size, alpha=alpha) if alpha else MaximumLikelihood(**size)
        model.fit(sentences)
        prefixes = [
            [0],
            *(s[:-1] for s in sentences),
            *([0, *s[2:-1]] for s in sentences),
        ]
        contexts = [[tokenizer.tokens[i] for i in p][-(order - 1) :] for p in prefixes]
        expected = [model.next_token_probs(p)[1:] for p in prefixes]
        found = module(
            "markov_explorer",
            """args[2].map((context) => {
                const counts = js.count(args[0], args[1]);
                return args[3].map((token) => js.probability(counts, context, token, args[4]));
            })""",
            corpus,
            order,
            contexts,
            list(tokenizer.tokens[1:]),
            alpha,
        )
        torch.testing.assert_close(
            torch.tensor(found, dtype=torch.float64),
            torch.stack(expected),
            rtol=0,
            atol=1e-12,
        )

        line = corpus[0]
        parts = module(
            "markov_explorer",
            "js.score(js.factors(js.count(args[0], args[1]), js.tokenize(args[2]), args[3]))",
            corpus,
            order,
            line,
            alpha,
        )
        nats = model.log_prob(torch.tensor([tokenizer.encode(line)])).sum().item()
        bits = -nats / math.log(2)
        assert parts["bits"] == pytest.approx(bits, abs=1e-9)
        assert parts["perplexity"] == pytest.approx(
            2 ** (bits / (len(line.split()) + 1))
        )
        assert parts["probability"] == pytest.approx(math.exp(nats), abs=1e-12)


def test_the_layout_goes_from_left_to_right(module):
    plan = module(
        "markov_explorer",
        """(() => {
            const graph = js.graph(js.count(args[0], 2));
            return js.layout(graph, () => ({ width: 60, height: 30 }), true);
        })()""",
        list(RABBITS),
    )
    at = {node["id"]: node for node in plan["nodes"]}
    order = [BOS, "I", "don't", "like", "rabbits", "</s>"]
    assert [at[word]["x"] for word in order] == sorted(at[word]["x"] for word in order)
    assert at["rabbits"]["x"] == at["turtles"]["x"] == at["snails"]["x"]
    for a in plan["nodes"]:
        for b in plan["nodes"]:
            apart = abs(a["x"] - b["x"]) >= 60 or abs(a["y"] - b["y"]) >= 30
            assert a is b or a["id"] == b["id"] or apart


def mixed(seed: int, n: int) -> list[float]:
    """The first random numbers of a seed, as common.js describes them, in whole numbers."""
    numbers = []
    for step in range(1, n + 1):
        bits = (seed + step * 0x9E3779B9) % 2**32
        bits = (bits ^ (bits >> 16)) * 0x21F0AAAD % 2**32
        bits = (bits ^ (bits >> 15)) * 0x735A2D97 % 2**32
        numbers.append((bits ^ (bits >> 15)) / 2**32)
    return numbers


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_random_numbers_are_pinned_and_uniform(module, seed):
    found = module(
        "markov_explorer",
        "(() => { const u = js.random(args[0]); return Array.from({ length: 2000 }, u); })()",
        seed,
    )
    assert found == mixed(seed, 2000)
    assert all(0 <= number < 1 for number in found)
    assert sum(found) / 2000 == pytest.approx(0.5, abs=4 * (1 / 12 / 2000) ** 0.5)


def test_draws_follow_the_weights(module):
    found = module(
        "markov_explorer",
        "args[0].map((uniform) => js.draw([0, 1, 0, 3, 0], uniform))",
        [0, 0.24, 0.26, 0.999999999],
    )
    assert found == [1, 1, 3, 3]


def test_bounds_are_those_of_python(module):
    dice = random.Random(0)
    for _ in range(20):
        counts = [dice.randint(0, 9) for _ in range(dice.randint(1, 12))] + [1]
        found = module("shannon_game", "js.bounds(args[0])", counts)
        assert (found["lower"], found["upper"]) == pytest.approx(
            shannon_bounds(counts), abs=1e-12
        )


def test_letters_of_a_sentence_cost_what_its_words_cost(module):
    state = game("letters").state()
    rows = {}
    for unit in ("words", "letters"):
        rows[unit] = module(
            "shannon_game",
            """(() => {
                const state = args[0];
                const words = state.vocabulary;
                const symbols = args[1] === "words" ? words : js.alphabet(words);
                const game = { ...state, unit: args[1], symbols };
                const guesses = js.symbolsOf(state.sentences[0], args[1])
                    .map((_, position) => ({ sentence: 0, position, guesses: 1, revealed: false }));
                return js.results(game, state.models, guesses)
                    .map((row) => ({ ...row, total: row.bits * guesses.length }));
            })()""",
            state,
            unit,
        )
    assert [row["name"] for row in rows["words"]] == [
        "You",
        "uniform",
        "unigram",
        "true grammar",
    ]
    assert rows["words"][3]["total"] == pytest.approx(1 + math.log2(4 / 3))
    assert rows["letters"][3]["total"] == pytest.approx(1 + math.log2(4 / 3))
    assert rows["words"][1]["total"] == pytest.approx(4 * math.log2(5))
    assert rows["words"][2]["total"] == pytest.approx(2 + 3 + 2 + 2)
    assert rows["words"][0]["upper"] == 0  # every first guess was right
    assert rows["words"][1]["guesses"] == pytest.approx(3)  # the middle of five


@pytest.mark.parametrize("quiz", QUIZZES, ids=lambda item: item.name)
def test_the_card_judges_as_check_does(module, quiz):
    data = quiz.to_dict()
    if data["kind"] == "choice":
        answers = [option["text"] for option in data["options"]]
    else:
        answers = [data["answer"], *(item["answer"] for item in data["wrong"])]
        if data["kind"] == "number":
            answers += [data["answer"] * 1.5 + 1, -123.25]
        elif data["kind"] == "order":
            answers += [data["items"], data["answer"][::-1]]
        else:
            answers += ["nonsense", f"  {data['answer']}\n"]
    for answer in answers:
        found = module("quiz_card", "js.judge(args[0], args[1])", data, answer)
        outcome = quiz.check(answer)
        assert found["correct"] == (outcome.outcome == CORRECT)
        assert found["why"] == outcome.message


def test_numbers_as_readers_write_them(module):
    written = ["0.25", "0,25", " 1/4 ", "-3", "−3", "1e-3"]
    written += ["4 bits", "4bit"]
    read = 'args[0].map((text) => js.toNumber(text, "bits"))'
    assert module("quiz_card", read, written) == [0.25, 0.25, 0.25, -3, -3, 0.001, 4, 4]
    nonsense = ["", "x", "1/", "1/2/3", "1,585", "990,000", "4 nats", "log2(4)"]
    assert module("quiz_card", f"{read}.every(Number.isNaN)", nonsense)


def test_predictions_are_compared_by_their_words_and_numbers(module):
    quiz = {"kind": "predict", "answer": "[0.0, 0.44] end", "why": "", "wrong": []}
    judge = "args[1].map((answer) => js.judge(args[0], answer).correct)"
    right = ["[0,.44]end", "0 0.44  end"]
    assert module("quiz_card", judge, quiz, right) == [True, True]
    wrong = ["[0.44, 0] end", "0 0.4 end", "0 0.44"]
    assert not any(module("quiz_card", judge, quiz, wrong))
