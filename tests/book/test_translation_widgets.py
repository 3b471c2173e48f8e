"""The bottleneck explorer and the alignment viewer: the language and the translators in the page.

`translation.js` is compared with the package: what it translates with lmcourse.data.translation,
what it computes with torch.
"""

from __future__ import annotations

import functools
import json
import random
import re

import pytest
import torch
from widget_page import (
    button,
    press,
    status,
    tab_to,
    violations,
)

from lmcourse import pretrained
from lmcourse.attention import (
    alignment_error_rate,
    attention_translator,
    attention_weights,
    strongest_links,
)
from lmcourse.data.translation import (
    LEXICON,
    english_grammar,
    sample_pair,
    surface,
    translate,
    translation_data,
)
from lmcourse.pretrained import recipes
from lmcourse.seq2seq import small_translator, token_accuracy
from lmcourse.widgets import AlignmentViewer, BottleneckExplorer
from lmcourse.widgets.base import bundle, read

THIRTY = (
    "the quick fox that chased a small rabbit likes the turtle that a big bear saw and "
    "the sheep sleeps and the white horse that laughs helped a quick deer"
)
LOST = (
    "the cat that saw a bear likes the fox and the sheep that sleeps helped a deer and "
    "a horse laughs"
)
WIDGETS = {"bottleneck": BottleneckExplorer, "alignment": AlignmentViewer}
PAGES = {
    **WIDGETS,
    "short": lambda: AlignmentViewer("the cat sleeps"),
    "thirty": lambda: AlignmentViewer(THIRTY, strongest=True),
}


def snapshots() -> dict[str, str]:
    """A page for every widget, and pages that cannot work."""
    snapshots = {name: make().snapshot() for name, make in PAGES.items()}
    other = re.sub(
        r'"weights_sha256":"\w{8}', '"weights_sha256":"00000000', snapshots["thirty"]
    )
    return snapshots | {"other": other}


@pytest.fixture
def run(open_page, tmp_path):
    """`run(expression, *arguments)`: an expression over translation.js and forward.js as `js`."""
    file = tmp_path / "page.html"
    file.write_text('<!doctype html><meta charset="utf-8"><title>t</title>')
    page = open_page(file.as_uri())
    also = "\nexport { tensor, random };"

    def run(expression: str, *arguments: object, module: str = "translation.js"):
        return page.evaluate(
            """async ([source, expression, values]) => {
                const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
                const js = await import(url);
                return new Function("js", "args", `return ${expression}`)(js, values);
            }""",
            [bundle(module) + also, expression, list(arguments)],
        )

    return run


@pytest.fixture(scope="module")
def lexicon():
    """The lexicon as the page reads it: through the snapshot, whose keys are sorted."""
    snapshot = BottleneckExplorer().snapshot()
    text = re.search(r'json">(.*?)</script>', snapshot, re.S).group(1)
    return json.loads(text)["lexicon"]


def field(page):
    return page.get_by_label("An English sentence")


# ------------------------------------------------------------------------------- the language


def sentences(n: int, longest: int = 4) -> list[str]:
    stream = torch.Generator().manual_seed(4)
    return [sample_pair(stream, 1 + i % longest).source for i in range(n)]


def test_translate_is_that_of_python(run, lexicon):
    pairs = [translate(source) for source in sentences(300)]
    found = run(
        "args[0].map((text) => js.translate(js.wordsOf(text), args[1]))",
        [pair.source for pair in pairs],
        lexicon,
    )
    assert max(pair.n_clauses for pair in pairs) == 4
    for pair, ours in zip(pairs, found, strict=True):
        assert ours["target"] == pair.target.split()
        assert {tuple(link) for link in ours["sure"]} == pair.sure
        assert {tuple(link) for link in ours["possible"]} == pair.possible
        assert ours["nClauses"] == pair.n_clauses


BROKEN = [
    "",
    "   ",
    "the",
    "cat",
    "the cat",
    "the small",
    "the small small cat sleeps",
    "the cat sees",
    "the cat sleeps the dog",
    "the cat sleeps a deer",
    "the cat sleeps and",
    "the cat sleeps and and",
    "and the cat sleeps",
    "the cat that sleeps",
    "the cat that",
    "the cat that the bear sleeps laughs",
    "the cat that the bear saw",
    "the cat that saw a bear that sleeps laughs",
    "the cat that the bear saw saw",
    "the cat that and sleeps",
    "the cat that likes sleeps",
    "the cat saw the fox that",
    "the cat saw the fox sleeps",
    "The cat sleeps",
    "the cat sleeps.",
    "the cat's fox sleeps",
    "the cat \"saw\" a 'fox'",
    "the b\\n \u200b cat",
    "the \u200bcat sleeps",
    "the \U000e0001 cat",
    "the __proto__ constructor",
    "the 토끼 sleeps",
    "end",
    "the\x1ccat\x85sleeps\u3000and\xa0the",
    "\ufeffthe cat sleeps",
]


def test_what_is_no_sentence_is_refused_in_the_same_words(run, lexicon):
    expected = []
    for text in BROKEN:
        with pytest.raises(ValueError) as error:
            translate(text)
        expected.append(str(error.value))
    found = run(
        """args[0].map((text) => {
            try { js.translate(js.wordsOf(text), args[1]); } catch (error) { return error.message; }
        })""",
        BROKEN,
        lexicon,
    )
    assert found == expected


def test_what_is_offered_next_is_what_could_stand_there(run, lexicon):
    """Each offered word makes a beginning that goes on; each other word does not."""
    vocabulary = [w for w in translation_data().source_tokenizer.tokens[2:]]
    for source in sentences(6):
        words = source.split()
        beginnings = [" ".join(words[:n]) for n in range(len(words) + 1)]
        offers = run(
            "args[0].map((t) => js.outlook(t + ' ', args[1]))", beginnings, lexicon
        )
        for beginning, seen in zip(beginnings, offers, strict=True):
            for word in vocabulary:
                try:
                    translate(f"{beginning} {word}")
                    fits = True
                except ValueError as error:
                    fits = "ends too early" in str(error)
                assert (word in seen["next"]) == fits, f"{beginning} {word}"


def test_the_last_word_may_still_be_typed(run, lexicon):
    def look(text):
        seen = run("js.outlook(args[0], args[1])", text, lexicon)
        return seen["kind"], seen["next"], seen["at"]

    assert look("the cat sle") == ("early", ["sleeps", "slept"], 2)
    assert look("the ca") == ("early", ["cat"], 1)
    assert look("the ca ")[0] == "wrong"
    assert look("the cat sleep sleeps")[0] == "wrong"
    assert look("the cat sleeps") == ("sentence", ["and"], 3)
    assert look("the cat saw a deer") == ("sentence", ["that", "and"], 5)


def test_surface_is_that_of_python(run, lexicon):
    texts = [translate(source).target for source in sentences(20)]
    texts += ["는", "는 는 토끼", "", "를 곰 를"]
    found = run(
        "args[0].map((text) => js.surface(js.wordsOf(text), args[1]))", texts, lexicon
    )
    assert found == [surface(text) for text in texts]


def test_random_sentences_follow_the_grammar_of_the_training_data(run, lexicon):
    drawn = run(
        """(() => {
            const uniform = js.random(3);
            return Array.from(
                { length: 3000 }, () => js.randomSentence(args[0], uniform).join(" "));
        })()""",
        lexicon,
    )
    pairs = [translate(text) for text in drawn]
    stream = torch.Generator().manual_seed(0)
    theirs = [sample.words for sample in english_grammar().sample(3000, stream)]

    def share(texts, word):
        return sum(words.count(word) for words in texts) / sum(map(len, texts))

    ours = [pair.source.split() for pair in pairs]
    for word in ("and", "that", "small", "sleeps", "saw", "rabbit"):
        assert share(ours, word) == pytest.approx(share(theirs, word), rel=0.15)
    assert sum(pair.n_clauses == 1 for pair in pairs) / 3000 == pytest.approx(
        0.4, abs=0.04
    )


def test_additions_lengthen_and_removals_shorten(run, lexicon):
    for source in sentences(12, longest=2):
        found = run(
            """(() => {
                const [text, lexicon] = args;
                const uniform = js.random(1);
                const words = js.wordsOf(text);
                const added = Object.values(js.ADDITIONS)
                    .map((add) => add(words, lexicon, uniform));
                const cut = [words];
                while (cut.at(-1)) cut.push(js.shorter(cut.at(-1), lexicon));
                return { added, cut };
            })()""",
            source,
            lexicon,
        )
        before = translate(source)
        adjective, relative, clause = found["added"]
        if adjective:
            assert len(adjective) == len(source.split()) + 1
            translate(" ".join(adjective))
        else:
            adjectives = sum(
                source.split().count(word) for word in LEXICON["adjective"]
            )
            nouns = sum(source.split().count(word) for word in LEXICON["noun"])
            assert adjectives == nouns
        if relative:
            assert relative.count("that") == source.split().count("that") + 1
            translate(" ".join(relative))
        assert translate(" ".join(clause)).n_clauses == before.n_clauses + 1
        lengths = [len(words) for words in found["cut"][:-1]]
        for words in found["cut"][:-1]:
            translate(" ".join(words))
        assert lengths == sorted(lengths, reverse=True)
        assert not {"and", "that", *LEXICON["adjective"]} & set(found["cut"][-2])


# ---------------------------------------------------------------------------- the translators


def random_model(make):
    torch.manual_seed(1)
    return make(11, 9, d_hidden=6).eval()


MODELS = {
    "random, one vector": lambda: random_model(small_translator),
    "random, attention": lambda: random_model(attention_translator),
    "shipped, one vector": lambda: recipes.load("seq2seq"),
    "shipped, attention": lambda: recipes.load("attention"),
}
COMPUTE = """(() => {
    const [tensors, sources, targets] = args;
    const read = Object.fromEntries(Object.entries(tensors).map(
        ([name, { shape, data }]) => [name, js.tensor(shape, Float32Array.from(data))]));
    const translator = js.translator(read);
    const plain = ({ context, steps }) => ({
        context: [...context.data],
        tokens: steps.map((step) => step.token),
        logProbs: steps.map((step) => step.logProb),
        logits: steps.map((step) => [...step.logits.data]),
        weights: steps.map((step) => step.weights && [...step.weights.data]),
    });
    return sources.map((source, i) => ({
        greedy: plain(translator.greedy(source, 40)),
        forced: plain(translator.forced(source, targets[i])),
    }));
})()"""


@pytest.mark.parametrize("name", MODELS)
def test_the_forward_pass_is_that_of_torch(run, name):
    model = MODELS[name]()
    n_source, n_target = model.encoder.vocab_size, model.decoder.vocab_size
    dice = random.Random(0)
    pairs = [
        (
            [0, *dice.choices(range(2, n_source), k=length), 1],
            [0, *dice.choices(range(2, n_target), k=length + 3), 1],
        )
        for length in (1, 7, 20)
    ]
    if name.startswith("shipped"):
        data = translation_data()
        for text in (THIRTY, "the cat sleeps", LOST):
            target = data.target_tokenizer.encode(translate(text).target)
            pairs.append((data.source_tokenizer.encode(text), target))
    tensors = {
        key: {"shape": list(tensor.shape), "data": tensor.flatten().tolist()}
        for key, tensor in model.state_dict().items()
    }
    sources, targets = zip(*pairs, strict=True)
    found = run(COMPUTE, tensors, sources, [target[1:] for target in targets])

    for (source, target), both in zip(pairs, found, strict=True):
        close = functools.partial(torch.testing.assert_close, rtol=0, atol=1e-5)
        forced, greedy = both["forced"], both["greedy"]
        with torch.no_grad():
            logits = model([source], torch.tensor([target[:-1]]))[0]
            context = model.encoder.encode([source]).context[0]
        close(torch.tensor(forced["logits"]), logits)
        close(torch.tensor(forced["context"]), context)
        assert forced["tokens"] == target[1:]

        # The greedy tokens: each is the most probable one after those before it.
        own = [0, *greedy["tokens"]]
        with torch.no_grad():
            logits = model([source], torch.tensor([own[:-1]]))[0].double()
        close(torch.tensor(greedy["logits"]).double(), logits)
        logits[:, 0] = -torch.inf
        log_probs = logits.log_softmax(dim=-1)
        chosen = log_probs[range(len(own) - 1), own[1:]]
        close(torch.tensor(greedy["logProbs"]).double(), chosen)
        assert (chosen >= log_probs.max(dim=-1).values - 1e-5).all()
        assert len(own) - 1 == 40 or own.index(1) == len(own) - 1

        if "attention" in name:
            (weights,) = attention_weights(model, [(source, target)])
            close(torch.tensor(forced["weights"]), weights)
        else:
            assert forced["weights"] == [None] * (len(target) - 1)


def test_share_right_is_the_token_accuracy(run):
    dice = random.Random(2)
    for _ in range(40):
        gold, written = (
            [*(dice.choice("abcd") for _ in range(dice.randint(1, 7))), "</s>"]
            for _ in range(2)
        )
        places = run(
            "js.compare(args[0], args[1])",
            gold,
            written,
            module="bottleneck_explorer.js",
        )
        states = [place["state"] for place in places]
        ids = {token: i for i, token in enumerate(["<s>", "</s>", *"abcd"])}
        ours, theirs = (
            [0, *(ids[word] for word in words)] for words in (written, gold)
        )
        share = states.count("right") / len(gold)
        assert share == pytest.approx(token_accuracy([ours], [theirs]))
        assert states.count("missing") == max(len(gold) - len(written), 0)
        # Words at another place are never more than the gold translation has of them.
        for word in "abcd":
            taken = [
                p
                for p in places
                if p["written"] == word and p["state"] in ("right", "elsewhere")
            ]
            assert len(taken) == min(gold.count(word), written.count(word))


def test_what_was_lost_is_named(run):
    gold = translate("the small cat saw a bear")

    def verdict(written):
        words = gold.source.split()
        pair = {"target": gold.target.split(), "sure": sorted(gold.sure)}
        return run(
            "js.verdict(args[0], args[1], js.compare([...args[1].target, '</s>'], args[2]))",
            words,
            pair,
            [*written.split(), "</s>"],
            module="bottleneck_explorer.js",
        )

    assert gold.target == "작은 고양이 는 곰 을 봤다"
    assert verdict(gold.target) == "Nothing is lost: all 7 are right."
    assert verdict("작은 곰 은 고양이 를 봤다") == (
        "3 of 7 are right. Every noun, adjective and verb is there, but not all in their place."
    )
    assert verdict("고양이 는 여우 를 봤다") == (
        "0 of 7 are right. Lost, nowhere in the translation: “small”, “bear”."
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_error_rate_is_that_of_python(run, seed):
    torch.manual_seed(seed)
    gold = translate(THIRTY)
    n_source, n_target = len(THIRTY.split()), len(gold.target.split())
    weights = torch.rand(n_target + 1, n_source + 2).softmax(dim=-1)
    links = strongest_links(weights)
    assert 0 < alignment_error_rate([links], [gold.sure], [gold.possible])
    found = run(
        """(() => {
            const links = js.strongestLinks(args[0]);
            return { links, ...js.errorRate(links, args[1], args[2]), list: links };
        })()""",
        weights.tolist(),
        sorted(gold.sure),
        sorted(gold.possible),
        module="alignment_viewer.js",
    )
    assert {tuple(link) for link in found["list"]} == links
    expected = alignment_error_rate([links], [gold.sure], [gold.possible])
    assert found["rate"] == pytest.approx(expected)


# -------------------------------------------------------------------------------- from Python


@pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
def test_snapshot_is_the_same_every_time_and_names_its_weights(make):
    first, second = make(), make()
    assert first.snapshot() == second.snapshot()
    assert repr(first) == repr(second) == f"{make.__name__}({first.sentence!r})"
    assert pretrained.sha256(make.pretrained) in first.snapshot()
    assert len(first.snapshot()) < 15_000  # the weights are not in it
    assert "weights" not in first.state()


@pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentence": "the cat"}, "the sentence ends too early, after 'cat'"),
        ({"sentence": "the dog sleeps"}, "'dog' is no word of this language"),
        ({"sentence": " and ".join(["the cat saw a fox"] * 11)}, "65 words"),
        ({"seed": -1}, "seed=-1 is not between 0 and 4294967295"),
    ],
)
def test_widgets_refuse(make, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**arguments)


def test_the_viewer_refuses_a_step_before_the_first():
    with pytest.raises(ValueError, match="step=0; the first word is 1"):
        AlignmentViewer(step=0)


def test_fallbacks_say_what_the_models_write():
    explorer = BottleneckExplorer("the cat saw a bear")
    row = '<tr><th scope="row">1</th><td>고양이</td><td>고양이</td><td>yes</td></tr>'
    assert row in explorer.fallback() and "6 of 6 right" in explorer.fallback()
    assert '<span lang="ko">고양이는 곰을 봤다</span>' in explorer.fallback()
    lost = BottleneckExplorer(LOST)
    assert lost.fallback().count("<td>no</td>") > 5
    viewer = AlignmentViewer("the cat saw a bear")
    row = '<th scope="row">1</th><td>고양이</td><td>cat</td><td>cat (sure)</td>'
    assert row in viewer.fallback()


def test_the_parts_have_names_of_their_own():
    """They are written into one module: no name of one may be that of another."""
    names = []
    for part in ("common.js", "forward.js", "translation.js", "bottleneck_explorer.js"):
        names += re.findall(
            r"^(?:export )?(?:async )?(?:function|const|class|let) (\w+)",
            read(part),
            re.M,
        )
    names.remove("render")
    assert len(names) == len(set(names))


# -------------------------------------------------------------------------------- in the page


def play(page, name: str) -> None:
    """A little use of every widget, so that what appears later is looked at too."""
    button(page, "another clause").click()
    button(page, "a relative clause").click()
    if name == "bottleneck":
        button(page, "Try 20 sentences at random").click()
    else:
        page.get_by_label("Mark the strongest link of each row").check()
        page.get_by_label("Step through the decoding").fill("3")
        page.get_by_role("gridcell").nth(2).click()
    field(page).fill("the cat wrong")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", PAGES)
def test_no_error_no_overflow_nothing_for_axe(visit, name, width, scheme):
    page = visit(name, width=width, scheme=scheme)
    if name != "thirty":  # that is long enough
        play(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


@pytest.mark.parametrize("name", WIDGETS)
def test_over_http_too(visit, name):
    page = visit(name, "http")
    play(page, name)
    assert page.log == []


def test_other_weights_are_refused_and_said(visit):
    page = visit("other")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "not those that this page was made with" in alert.inner_text()


@pytest.mark.parametrize("name", WIDGETS)
def test_without_scripts_the_fallback_is_read(read_without_scripts, name):
    page = read_without_scripts(name)
    assert page.get_by_role("cell", name="토끼").first.is_visible()


def test_a_sentence_is_built_by_keyboard(visit):
    page = visit("bottleneck")
    tab_to(page, field(page))
    page.keyboard.press("Control+A")
    page.keyboard.type("The w")
    assert "… 'w' is no word of this language" in status(page)
    press(page, "white")
    assert field(page).input_value() == "the white "
    assert page.evaluate("document.activeElement.textContent") == "rabbit"
    page.keyboard.press(
        "Enter"
    )  # the focus has moved to the first word that could come next
    press(page, "sleeps")
    assert "✓ A sentence of this language: 4 words." in status(page)
    assert "Nothing is lost: all 5 are right." in status(page)
    press(page, "and")
    assert "… the sentence ends too early, after 'and'" in status(page)
    assert button(page, "an adjective").get_attribute("aria-disabled") == "true"
    before = field(page).input_value()
    button(page, "an adjective").click(force=True)
    assert field(page).input_value() == before
    press(page, "A sentence at random")
    press(page, "another clause")
    n_words = len(field(page).input_value().split())
    assert f"✓ A sentence of this language: {n_words} words." in status(page)
    press(page, "Remove a part")
    assert len(field(page).input_value().split()) < n_words


def test_a_wrong_word_is_said_and_can_be_replaced(visit):
    page = visit("bottleneck")
    field(page).fill("the cat dog sleeps")
    assert "✗ 'dog' is no word of this language; at position 2 could stand" in status(
        page
    )
    assert field(page).get_attribute("aria-invalid") == "true"
    assert "Instead of “dog” could stand:" in page.inner_text("main")
    field(page).fill("the dog sleeps")
    button(page, "cat").click()
    assert field(page).input_value() == "the cat sleeps"
    assert field(page).get_attribute("aria-invalid") == "false"
    field(page).fill(" and ".join(["the cat saw a fox"] * 12))
    assert "✗ 71 words: at most 60 fit here." in status(page)


def test_explorer_shows_what_is_lost(visit):
    page = visit("bottleneck")
    field(page).fill(LOST)
    gold = [*translate(LOST).target.split(), "end"]
    places = page.locator(".lc-tr-pair").all()
    shown = [
        place.locator(".lc-tr-gold > :last-child").inner_text() for place in places
    ]
    assert shown[: len(gold)] == gold and set(shown[len(gold) :]) <= {"–"}
    marks = [place.locator("b").inner_text() for place in places]
    assert set(marks) <= set("✓↔✗∅") and "✗" in marks
    said = re.search(r"(\d+) of (\d+) are right\.", status(page))
    assert (int(said[1]), int(said[2])) == (marks.count("✓"), len(gold))
    assert "Lost, nowhere in the translation: “" in status(page)
    assert f"{len(LOST.split())} English words" in page.inner_text("main")
    assert f"64 numbers for {len(LOST.split())} words" in page.inner_text("main")


def test_explorer_remembers_what_was_tried_and_compares_the_vector(visit):
    page = visit("bottleneck")
    main = page.locator("main")
    assert page.locator(".lc-tr-plot circle").count() == 1
    assert page.locator(".lc-tr-was").count() == 0
    field(page).fill("the cat sleeps")
    assert page.locator(".lc-tr-plot circle").count() == 2
    assert page.locator(".lc-tr-strip rect").count() == 64
    assert page.locator(".lc-tr-was").count() == 64
    field(page).fill("the fox sleeps")
    field(page).fill("the cat sleeps")  # again: it is one sentence
    assert "3 sentences so far." in main.inner_text()
    moved = re.search(r"With the last change, (\d+) of them", main.inner_text())
    assert 0 < int(moved[1]) <= 64
    press(page, "Try 20 sentences at random")
    n_tried = int(re.search(r"(\d+) sentences so far\.", main.inner_text())[1])
    assert 15 < n_tried <= 23
    assert page.locator(".lc-tr-plot circle").count() == n_tried


def test_explorer_writes_what_python_writes(visit):
    page = visit("bottleneck")
    for source in (THIRTY, LOST, "a deer that laughs saw the cat"):
        field(page).fill(source)
        written = BottleneckExplorer(source).written()
        cells = page.locator(".lc-tr-written > :last-child").all_inner_texts()
        expected = ["end" if word == "</s>" else word for word in written]
        assert [cell for cell in cells if cell != "–"] == expected
        assert surface(" ".join(written).removesuffix("</s>")) in page.inner_text(
            "main"
        )


def test_viewer_by_mouse(visit):
    page = visit("short")
    assert page.get_by_role("row").count() == 1 + len("고양이 는 잔다 </s>".split())
    assert "✓ This is the gold translation, word for word." in status(page)
    assert "Word 1 of 4, “고양이”: the decoder looks at “cat” (" in status(page)
    cell = page.get_by_role("gridcell", name="“잔다” from “sleeps”")
    cell.click()
    weight = cell.get_attribute("data-weight")
    assert "Word 3 of 4, “잔다”" in status(page)
    assert f"The marked cell, “sleeps”: {float(weight):.2f}, a sure link." in status(
        page
    )
    assert page.locator(".lc-tr-ring.lc-tr-sure").count() == 2 + 1  # and the legend's
    assert page.locator("table .lc-tr-ring.lc-tr-possible").count() == 1
    assert not page.locator("table .lc-tr-top").first.is_visible()
    page.get_by_label("Mark the strongest link of each row").check()
    assert page.locator("table .lc-tr-top").count() == 3
    assert page.locator("table .lc-tr-top").first.is_visible()
    assert "고양이는 잔다" in page.inner_text("main")
    page.get_by_label("Step through the decoding").fill("4")
    assert "Word 4 of 4, the end: the decoder looks at" in status(page)
    assert page.locator(".lc-path .lc-here").inner_text().strip() == "⏎"


def test_viewer_by_keyboard(visit):
    page = visit("short")
    press(page, "another clause")
    slider = page.get_by_label("Step through the decoding")
    tab_to(page, slider)
    page.keyboard.press("ArrowRight")
    assert "Word 2 of" in status(page)
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext").startswith("word 1 of")
    tab_to(page, page.locator('td[tabindex="0"]'))
    here = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(here).startswith("“고양이” from “cat”: ")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(here).startswith("“고양이” from “sleeps”: ")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(here).startswith("“는” from “sleeps”: ")
    assert "The marked cell, “sleeps”: " in status(page) and "Word 2 of" in status(page)
    page.keyboard.press("Home")
    assert page.evaluate(here).startswith("“는” from the start: ")
    page.keyboard.press("ArrowLeft")  # the edge
    assert page.evaluate(here).startswith("“는” from the start: ")
    page.keyboard.press("End")
    page.keyboard.press("PageDown")
    assert page.evaluate(here).startswith("the end from the end: ")
    assert page.locator('td[tabindex="0"]').count() == 1
    tab = page.get_by_label("Mark the strongest link of each row")
    tab.focus()
    page.keyboard.press("Space")
    assert page.locator("table .lc-tr-top").first.is_visible()


def test_viewer_counts_the_error_rate_of_the_chapter(visit):
    page = visit("alignment")
    model, data = recipes.load("attention"), translation_data()
    for source in (THIRTY, "the cat saw a deer", AlignmentViewer().sentence):
        field(page).fill(source)
        page.get_by_label("Give the model the gold translation").check()
        gold = translate(source)
        pair = (
            data.source_tokenizer.encode(source),
            data.target_tokenizer.encode(gold.target),
        )
        (weights,) = attention_weights(model, [pair])
        rate = alignment_error_rate(
            [strongest_links(weights)], [gold.sure], [gold.possible]
        )
        said = re.search(r"= (\d\.\d\d)\. A: the strongest", page.inner_text("main"))
        assert float(said[1]) == pytest.approx(rate, abs=0.0051)
        rows = page.locator(".lc-tr-matrix tbody tr")
        assert rows.count() == len(gold.target.split()) + 1
        cells = rows.nth(0).locator("td").all()
        found = [float(cell.get_attribute("data-weight")) for cell in cells]
        assert found == pytest.approx(weights[0].tolist(), abs=0.0051)


def test_viewer_says_where_the_model_errs(visit):
    """Far beyond the lengths of the training data it errs, and then there is no error rate."""
    page = visit("alignment")
    source = " and ".join(["the quick fox that chased a rabbit likes a turtle"] * 5)
    written = AlignmentViewer(source).written()
    assert written != [*translate(source).target.split(), "</s>"]
    field(page).fill(source)
    assert "✗ The gold translation differs in" in status(page)
    assert "needs the gold words" in page.inner_text("main")
    page.get_by_label("Give the model the gold translation").check()
    assert "each is given to the model before the next. By itself it writes" in status(
        page
    )
    assert "Alignment error rate of this sentence: 1 −" in page.inner_text("main")


def test_thirty_words_fit_a_telephone(visit):
    page = visit("thirty", width=360)
    frame = page.locator(".lc-tr-matrix-frame")
    assert frame.evaluate("node => node.scrollWidth > 2 * node.clientWidth")
    last = page.locator(".lc-tr-matrix tbody tr").count()
    page.get_by_label("Step through the decoding").fill(str(last - 1))
    assert frame.evaluate("node => node.scrollLeft") > 200
    cell, header = (
        page.locator(selector).bounding_box()
        for selector in ("td.lc-tr-cursor", "tr.lc-current th")
    )
    assert (
        cell["x"] >= header["x"] + header["width"]
    )  # the words of the rows stay in sight
    assert cell["x"] + cell["width"] <= 360


@pytest.mark.parametrize("name", WIDGETS)
def test_what_is_typed_is_only_text(visit, name):
    page = visit(name)
    evil = "<img src=x onerror=document.title='hacked'> __proto__ constructor"
    for text in (evil, f"the {evil}", f"the cat sleeps {evil}"):
        field(page).fill(text)
        assert "is no word of this language" in status(page)
    assert page.locator(".lmcourse img").count() == 0
    assert page.title() == "Widgets"
