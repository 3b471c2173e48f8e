"""The head viewer and the stack viewer: their numbers against Python's, and in a page."""

from __future__ import annotations

import functools
import json
import math
import re

import pytest
import torch
from widget_page import (
    alerts,
    button,
    press,
    status,
    tab_to,
    violations,
)

from lmcourse import pretrained
from lmcourse.data.grammar import TEACHING_GRAMMAR
from lmcourse.multi_head_attention import attention_maps
from lmcourse.tokenizers import BOS, EOS
from lmcourse.widgets import HeadViewer, StackViewer
from lmcourse.widgets.base import bundle, read
from lmcourse.widgets.head_viewer import EXAMPLES, N_HEADS, N_LAYERS
from lmcourse.widgets.stack_viewer import N_BLOCKS, STAGES

NESTED = EXAMPLES[3]  # Ben says that Zoe says that ... , agrees Zoe , agrees
SIXTY = " ".join(["the cat which"] * 20)
STILL = "Still shown below: the last sentence that could be read."
WIDGETS = {"head": HeadViewer, "stack": StackViewer}
PAGES = {
    **WIDGETS,
    "off": lambda: HeadViewer(NESTED, layer=1, head=2, off=[[0, 1], [1, 3]]),
    "sixty": lambda: HeadViewer(SIXTY),
    "high": lambda: StackViewer(SIXTY, stage=3),
}


def snapshots() -> dict[str, str]:
    """A page for every widget, and pages that cannot work."""
    snapshots = {name: make().snapshot() for name, make in PAGES.items()}
    for name in WIDGETS:
        other = re.sub(r'("weights_sha256":")\w{8}', r"\g<1>00000000", snapshots[name])
        snapshots[f"other_{name}"] = other
    return snapshots


def field(page):
    return page.get_by_label("A sentence of the teaching language")


def choose(page, position: int) -> None:
    page.locator(".lc-rnn-reader label").nth(position).click()


def shown(p: float) -> str:
    return "< 0.001" if p < 0.0005 else "> 0.999" if p > 0.9995 else f"{p:.3f}"


def named(token: str) -> str:
    return "⏎ end" if token == EOS else token


def best(viewer, log_probs) -> tuple[str, float]:
    """The likeliest next token and its probability."""
    tokens = pretrained.facts(viewer.pretrained)["tokens"]
    most = int(log_probs.argmax())
    return named(tokens[most]), log_probs[most].exp().item()


def log_probs(viewer, model) -> torch.Tensor:
    with torch.no_grad():
        return model(viewer.token_ids())[0].log_softmax(dim=-1)


def bits(viewer, model) -> list[float]:
    with torch.no_grad():
        return (-model.log_prob(viewer.token_ids())[0] / math.log(2)).tolist()


# ------------------------------------------------------------------------- in light and dark


def play(page, name: str) -> None:
    """A little use of every widget, so that what appears later is looked at too."""
    page.get_by_text("words of the teaching language").last.click()
    choose(page, 3)
    if page.get_by_text("Head viewer").count():
        page.get_by_label("layer 0, head 2 is on").uncheck()
        page.locator(".lc-vw-pick").nth(5).click()
        page.locator(".lc-vw-hit").nth(2).click()
    else:
        page.get_by_role("radio", name="block 0, attention").check()
    field(page).fill("the rabit ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", ["head", "stack", "sixty", "high"])
def test_no_error_no_overflow_nothing_for_axe(visit, name, width, scheme):
    page = visit(name, width=width, scheme=scheme)
    assert page.locator(".lmcourse-widget:not([data-state=live])").count() == 0
    play(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


@pytest.mark.parametrize("name", WIDGETS)
def test_over_http_too(visit, name):
    page = visit(name, "http")
    play(page, name)
    assert page.log == []


@pytest.mark.parametrize("name", WIDGETS)
def test_without_scripts_the_fallback_is_read(read_without_scripts, name):
    page = read_without_scripts(name)
    assert page.get_by_role("table").is_visible()
    assert page.get_by_role("rowheader").count() in (8, 5)


@pytest.mark.parametrize("name", WIDGETS)
def test_other_weights_are_refused_and_said(visit, name):
    page = visit(f"other_{name}")
    page.wait_for_function("() => document.body.textContent.includes('are not those')")
    assert "not those that this page was made with" in status(page)
    assert page.get_by_role("textbox").count() == 0


# ------------------------------------------------------------------------------------ numbers

IMPORT = """async (source) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    globalThis.viewer = await import(url);
}"""
PARTS = """
    const lists = (tensor) => tensor.shape.length > 1
        ? Array.from({ length: tensor.shape[0] }, (_, i) => lists(viewer.row(tensor, i)))
        : [...tensor.data];
    const file = await lmcourse.weights(name);
    const tensors = viewer.readSafetensors(file.bytes);
    const parts = viewer.partsOf(tensors);
"""
READ_HEADS = f"""async ([name, cases]) => {{ {PARTS}
    return cases.map(([sentence, off]) => {{
        const found = viewer.readWith(parts, viewer.wordsOf(sentence), off);
        return {{ maps: found.maps.map(lists), logProbs: lists(found.logProbs) }};
    }});
}}"""
READ_STACK = f"""async ([name, cases]) => {{ {PARTS}
    return cases.map((sentence) => {{
        const {{ stages }} = viewer.climb(tensors, parts, viewer.wordsOf(sentence));
        return stages.map((stage) => ({{
            name: stage.name, added: lists(stage.added), after: lists(stage.after),
            logProbs: lists(stage.logProbs), weights: stage.weights && lists(stage.weights),
        }}));
    }});
}}"""


@pytest.fixture
def module(visit):
    """`module("head", expression, argument)`: an expression over the viewer's own functions."""

    def module(name: str, expression: str, argument: object):
        page = visit(name)
        also = "\nexport { partsOf, readSafetensors, row, understand, wordsOf };"
        page.evaluate(IMPORT, bundle(f"{name}_viewer.js") + also)
        return page.evaluate(expression, argument)

    return module


def sampled(n: int) -> list[str]:
    samples = TEACHING_GRAMMAR.sample(n, torch.Generator().manual_seed(7))
    return [" ".join(sample.words) for sample in samples]


def close(found, expected, atol: float) -> None:
    found = torch.tensor(found, dtype=torch.float64)
    torch.testing.assert_close(found, expected.double(), rtol=0, atol=atol)


def hidden_after_blocks(viewer, model) -> list[torch.Tensor]:
    """What each block gives."""
    hidden = []
    for block in model.layers.layers:
        block.register_forward_hook(lambda *args: hidden.append(args[-1]))
    log_probs(viewer, model)
    return hidden


def test_the_heads_in_the_page_are_those_of_python(module):
    """Whole, with heads pruned, and with all heads of a layer switched off."""
    pruned = [[], [[0, 2]], [[0, 0], [0, 1], [1, 3]], [[1, 0], [1, 1], [1, 2]]]
    layer_off = [[0, head] for head in range(N_HEADS)]
    cases = [(sentence, off) for sentence in sampled(6) for off in [*pruned, layer_off]]
    cases.append((SIXTY, []))
    found = module("head", READ_HEADS, ["multi_head_attention", cases])
    for (sentence, off), in_page in zip(cases, found, strict=True):
        viewer = HeadViewer(sentence, off=off)
        model = viewer.without_heads()
        maps = attention_maps(model, viewer.token_ids())[:, 0]
        close(in_page["maps"], maps, 1e-5)
        close(in_page["logProbs"], log_probs(viewer, model), 1e-4)
        if off == layer_off:
            continue
        model = viewer.model()
        for layer, one in enumerate(model.layers.layers):
            one.attention.prune_heads({head for at, head in off if at == layer})
        close(in_page["logProbs"], log_probs(viewer, model), 1e-4)


def test_the_stack_in_the_page_is_that_of_python(module):
    cases = [*sampled(8), SIXTY]
    found = module("stack", READ_STACK, ["transformer", cases])
    for sentence, stages in zip(cases, found, strict=True):
        viewer = StackViewer(sentence)
        model, token_ids = viewer.model(), viewer.token_ids()
        assert tuple(stage["name"] for stage in stages) == STAGES
        close(stages[-1]["logProbs"], log_probs(viewer, model), 1e-4)
        maps = attention_maps(model, token_ids)[:, 0]
        close([stages[1]["weights"], stages[3]["weights"]], maps, 1e-5)
        hidden = hidden_after_blocks(viewer, model)
        close(stages[2]["after"], hidden[0][0], 1e-5)
        close(stages[4]["after"], hidden[1][0], 1e-5)
        added, lenses = viewer.way_up()
        for stage, more, lens in zip(stages, added, lenses, strict=True):
            close(stage["added"], more, 1e-5)
            close(stage["logProbs"], lens, 1e-4)


def test_the_top_of_the_way_up_is_the_model():
    viewer = StackViewer(NESTED)
    added, lenses = viewer.way_up()
    close(lenses[-1].tolist(), log_probs(viewer, viewer.model()), 1e-10)
    embedded = viewer.model().embedding(viewer.token_ids())[0].detach()
    close(added[0].tolist(), embedded, 0)


def test_sizes_are_those_of_the_trained_models():
    for viewer, n_layers in ((HeadViewer(), N_LAYERS), (StackViewer(), N_BLOCKS)):
        layers = viewer.model().layers.layers
        assert len(layers) == n_layers
        assert {layer.attention.n_heads for layer in layers} == {N_HEADS}


def test_relations_of_nested_speech(module):
    words = [BOS, *NESTED.split(), "Ben"]
    found = dict(module("head", "(words) => viewer.relations(words)", words))
    first, second = (i for i, word in enumerate(words) if word == "agrees")
    speakers = [[first, words.index("Zoe")], [second, words.index("Ben")]]
    assert found.pop("from “agrees”: the speaker") == speakers
    assert found == {
        "the word itself": [[i, i] for i in range(2, len(words))],
        "the word before": [[i, i - 1] for i in range(2, len(words))],
        BOS: [[i, 0] for i in range(2, len(words))],
    }
    assert module("head", "(words) => viewer.relations(words)", [BOS, "agrees"]) == []


VERBS_AND_SUBJECTS = {
    EXAMPLES[0]: ["sleeps rabbit"],
    EXAMPLES[1]: ["sees dog", "sleep rabbits"],
    EXAMPLES[2]: ["waits mouse"],
    "the small cat near the dogs which see the mouse sleeps": [
        "see dogs",
        "sleeps cat",
    ],
    "a cat which the happy dogs which wait like greets many geese which sing": [
        *("wait dogs", "like dogs", "greets cat", "sing geese"),
    ],
    "sleeps which": [],
}


def test_the_subject_is_looked_at_from_the_word_before_its_verb(module):
    """There the verb is foretold. Where the subject itself stands there, it says nothing."""
    sentence = "the rabbits which the dog beside the cat sees sleep"
    words = [BOS, *sentence.split()]
    found = dict(module("head", "(words) => viewer.relations(words)", words))
    before = [words.index("cat"), words.index("sees")]
    assert found["from the word before a verb: its subject"] == [
        [before[0], words.index("dog")],
        [before[1], words.index("rabbits")],
    ]


def test_the_head_for_the_subject_is_the_one_of_the_chapter(visit):
    table = visit("head").get_by_role("table", name="Which head looks most at")
    row = table.get_by_role("rowheader", name="its subject").locator("xpath=..")
    viewer = HeadViewer()
    words = viewer.words()
    weights = attention_maps(viewer.model(), viewer.token_ids())[:, 0]
    weights = weights[:, :, words.index("cats"), words.index("rabbit")]
    layer, head = divmod(int(weights.argmax()), N_HEADS)
    assert row.get_by_role("cell").all_inner_texts()[:2] == [
        f"layer {layer}, head {head}",
        f"{weights.max():.2f}",
    ]


def test_subjects_of_verbs(module):
    sentences = [*VERBS_AND_SUBJECTS, *sampled(200)]
    lists = [[BOS, *sentence.split()] for sentence in sentences]
    subjects = "(lists) => lists.map((words) => viewer.subjects(words))"
    found = module("head", subjects, lists)
    named_pairs = [
        [f"{words[verb]} {words[noun]}" for verb, noun in pairs]
        for words, pairs in zip(lists, found, strict=True)
    ]
    expected = list(VERBS_AND_SUBJECTS.values())
    assert named_pairs[: len(expected)] == expected
    # In the language every verb has a subject, a noun of its own number.
    numbers = {"verbs": {}, "nouns": {}}
    for number in ("sg", "pl"):
        for kind, symbols in (("verbs", ("Vt", "Vi")), ("nouns", ("N",))):
            for symbol in symbols:
                for (word,), _ in TEACHING_GRAMMAR.rules[f"{symbol}_{number}"]:
                    numbers[kind][word] = number
    for words, pairs in zip(
        lists[len(expected) :], found[len(expected) :], strict=True
    ):
        places = [i for i, word in enumerate(words) if word in numbers["verbs"]]
        assert [verb for verb, _ in pairs] == places, words
        for verb, noun in pairs:
            assert numbers["verbs"][words[verb]] == numbers["nouns"][words[noun]], words


def test_the_answer_settles_where_it_stays_the_likeliest(module):
    lenses = [[0.1, 0.9], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]
    settle = "([lenses, token]) => viewer.settled(lenses, token)"
    assert module("stack", settle, [lenses, 1]) == 2
    assert module("stack", settle, [lenses[2:], 1]) == 0


@pytest.mark.parametrize("name", WIDGETS)
def test_the_parts_have_names_of_their_own(name):
    """They are written into one module: no name of one may be that of another."""
    names = []
    for part in ("common.js", "forward.js", "teaching.js", f"{name}_viewer.js"):
        names += re.findall(
            r"^(?:export )?(?:async )?(?:function|const|class|let) (\w+)",
            read(part),
            re.M,
        )
    assert len(names) == len(set(names))


# -------------------------------------------------------------------------------- head viewer


def looks(page, row: str) -> list[str]:
    """The weights of a row of "Where ... looks", as they are written."""
    table = page.get_by_role("table", name=re.compile("looks, with every head"))
    header = table.get_by_role("rowheader", name=row)
    return header.locator("xpath=..").get_by_role("cell").all_inner_texts()


def written(weights) -> list[str]:
    return ["·" if w < 0.005 else f"{w:.2f}".removeprefix("0") for w in weights]


def signed(bits: float) -> str:
    return "±0" if abs(bits) < 0.05 else f"{bits:+.1f}".replace("-", "−")


def probabilities(page, word: str) -> list[str]:
    """The cells of a word in the table of next words."""
    table = page.get_by_role("table", name=re.compile("next word after"))
    header = table.get_by_role("rowheader", name=word, exact=True)
    return header.locator("xpath=..").get_by_role("cell").all_inner_texts()


def test_heads_by_mouse(visit):
    page = visit("head")
    viewer = HeadViewer()
    words = viewer.words()
    maps = attention_maps(viewer.model(), viewer.token_ids())[:, 0]
    place = words.index("sleeps")
    choose(page, place)
    page.locator(".lc-vw-pick").nth(N_HEADS + 2).click()
    weights = maps[1, 2, place, : place + 1]
    most = int(weights.argmax())
    assert status(page).startswith(
        f"Layer 1, head 2: “sleeps” looks most at “{words[most]}” ({weights[most]:.2f})"
    )
    for layer in range(N_LAYERS):
        for head in range(N_HEADS):
            expected = written(maps[layer, head, place, : place + 1].tolist())
            assert looks(page, f"layer {layer}, head {head}") == expected
    radios = page.locator(".lc-vw-pick input")
    assert radios.count() == N_LAYERS * N_HEADS
    first = maps[0, 0, place]
    assert radios.first.get_attribute("aria-label") == (
        f"layer 0, head 0: “sleeps” looks most at “{words[int(first.argmax())]}”, "
        f"{first.max():.2f}"
    )
    small = page.locator(".lc-rnn-reader small").all_inner_texts()
    assert small[1:] == [f"{one:.1f}" for one in bits(viewer, viewer.model())]
    page.locator(".lc-vw-hit").nth(words.index("rabbit")).click()
    assert "Layer 1, head 2: “rabbit” looks most at" in status(page)
    assert page.locator(".lc-rnn-reader input:checked").get_attribute("value") == "5"


def test_heads_are_switched_off(visit):
    page = visit("head")
    text = functools.partial(page.inner_text, "main")
    viewer, off = HeadViewer(), HeadViewer(off=[[0, 3], [1, 1]])
    whole, without = viewer.model(), off.without_heads()
    all_bits = sum(bits(viewer, whole))
    said = f"The words of the sentence cost {all_bits:.1f} bits with all heads"
    word, p = best(viewer, log_probs(viewer, whole)[-1])
    assert f"{said}." in text()
    assert f"The likeliest next word is “{word}” ({shown(p)})." in status(page)
    assert probabilities(page, word) == [shown(p)]
    assert button(page, "All on").is_disabled()
    page.get_by_label("layer 0, head 3 is on").uncheck()
    page.get_by_label("layer 1, head 1 is on").uncheck()
    fewer = bits(viewer, without)
    assert f"{said}, and {sum(fewer):.1f} bits without layer 0, head 3; " in text()
    small = page.locator(".lc-rnn-reader small").all_inner_texts()
    more = [b - a for a, b in zip(bits(viewer, whole), fewer, strict=True)]
    assert small[1:] == [
        f"{one:.1f}\n{signed(change)}" for one, change in zip(fewer, more, strict=True)
    ]
    most = max(range(len(more)), key=more.__getitem__)
    assert (
        f"The largest loss: “{viewer.words()[most + 1]}” costs {fewer[most]:.1f} bits "
        f"instead of {bits(viewer, whole)[most]:.1f}."
    ) in text()
    assert "Read the bits of the word, not the sum" in text()
    last = log_probs(viewer, without)[-1]
    now, q = best(viewer, last)
    assert f"With 2 heads off the likeliest next word is “{now}” ({shown(q)})." in (
        status(page)
    )
    assert (
        f"the likeliest is “{now}” ({shown(q)}), with all heads on “{word}” (" in text()
    )
    before = log_probs(viewer, whole)[-1][int(last.argmax())].exp().item()
    assert probabilities(page, now) == [shown(before), shown(q)]
    assert "layer 1, head 1, off" in text()
    assert "(in italics: off)" in text()
    maps = attention_maps(without, viewer.token_ids())[:, 0]
    assert looks(page, "layer 1, head 0") == written(maps[1, 0, -1].tolist())
    button(page, "All on").click()
    assert f"{said}." in text()
    assert "not the sum" not in text() and "in italics" not in text()
    button(page, "Only the chosen head").click()
    assert page.get_by_role("checkbox", checked=True).count() == 1
    others = [
        [i, j] for i in range(N_LAYERS) for j in range(N_HEADS) if (i, j) != (0, 0)
    ]
    alone = sum(bits(viewer, HeadViewer(off=others).without_heads()))
    assert f"and {alone:.1f} bits without" in text()
    page.get_by_label("layer 0, head 0 is on").uncheck()
    nothing = sum(bits(viewer, HeadViewer(off=[[0, 0], *others]).without_heads()))
    assert f"and {nothing:.1f} bits without any head." in text()
    assert "Which head looks most at" not in text()


def test_a_sentence_gets_cheaper_without_the_head_that_its_verb_needs(visit):
    """Why the sum alone would mislead: the reader sees the verb that gets dearer."""
    page = visit("head")
    field(page).fill(EXAMPLES[2])
    places = [(i, j) for i in range(N_LAYERS) for j in range(N_HEADS)]
    whole = bits(HeadViewer(EXAMPLES[2]), HeadViewer(EXAMPLES[2]).model())
    without = {
        place: bits(viewer, viewer.without_heads())
        for place in places
        for viewer in [HeadViewer(EXAMPLES[2], off=[list(place)])]
    }
    layer, head = max(places, key=lambda place: without[place][-1])
    found = without[layer, head]
    assert found[-1] > whole[-1] + 1 and sum(found) < sum(whole)
    page.get_by_label(f"layer {layer}, head {head} is on").uncheck()
    small = page.locator(".lc-rnn-reader small").last
    assert small.inner_text() == f"{found[-1]:.1f}\n+{found[-1] - whole[-1]:.1f}"
    assert small.locator("b").count() == 1
    assert "The largest loss: “waits”" in page.inner_text("main")


def test_switches_are_large_enough_to_hit(visit):
    page = visit("head", width=360)
    for box in page.get_by_role("checkbox").all():
        size = box.bounding_box()
        assert min(size["width"], size["height"]) >= 24


def test_means_over_the_sentence(visit):
    page = visit("off")
    viewer = PAGES["off"]()
    maps = attention_maps(viewer.without_heads(), viewer.token_ids())[:, 0]
    words = viewer.words()
    table = page.get_by_role("table", name="Which head looks most at")
    first, second = (i for i, word in enumerate(words) if word == "agrees")
    speaker = [(first, words.index("Zoe")), (second, words.index("Ben"))]
    pairs = {
        "the word before": [(i, i - 1) for i in range(2, len(words))],
        "from “agrees”: the speaker": speaker,
    }
    for name, some in pairs.items():
        means = torch.stack([maps[:, :, i, j] for i, j in some]).mean(dim=0)
        for layer, head in viewer.off:
            means[layer, head] = -1
        most = int(means.argmax())
        even = sum(1 / (i + 1) for i, _ in some) / len(some)
        row = table.get_by_role("rowheader", name=name).locator("xpath=..")
        assert row.get_by_role("cell").all_inner_texts() == [
            f"layer {most // N_HEADS}, head {most % N_HEADS}",
            f"{means.max():.2f}",
            f"{even:.2f}",
        ]


def test_heads_by_keyboard(visit):
    page = visit("head")
    tab_to(page, field(page))
    page.keyboard.press("Control+A")
    page.keyboard.type("The mice,sleep")  # capitals and commas are put right
    assert alerts(page) == ""
    assert "“sleep” looks most at" in status(page)
    tab_to(page, page.get_by_role("radio", name="sleep", exact=False).first)
    page.keyboard.press("ArrowLeft")
    assert "“,” looks most at" in status(page)
    tab_to(page, page.get_by_role("radio", name="layer 0, head 0"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert status(page).startswith("Layer 0, head 2: “,” looks most at")
    tab_to(page, page.get_by_label("layer 0, head 2 is on"))
    page.keyboard.press("Space")
    assert "With 1 head off" in status(page)
    press(page, "All on")
    assert "The likeliest next word" in status(page)
    tab_to(page, page.get_by_role("region", name="The chosen head"))


# ------------------------------------------------------------------------------- stack viewer


def floor(page, stage: int) -> str:
    return page.locator(".lc-vw-floor", has_text=STAGES[stage]).inner_text()


def test_stack_by_mouse(visit):
    page = visit("stack")
    viewer = StackViewer()
    words = viewer.words()
    place = words.index("cats")
    choose(page, place)
    added, lenses = viewer.way_up()
    answer, p = best(viewer, lenses[-1][place])
    assert f"After “… near the cats” the model answers “{answer}” ({shown(p)})." in (
        status(page)
    )
    token = int(lenses[-1][place].argmax())
    favourites = [int(lens[place].argmax()) for lens in lenses]
    settled = max((i + 1 for i in range(5) if favourites[i] != token), default=0)
    where = f"from stage “{STAGES[settled]}” on" if settled else "at every stage"
    assert where in status(page)
    vector = torch.zeros_like(added[0][place])
    for stage in range(len(STAGES)):
        before, vector = vector, vector + added[stage][place]
        text = floor(page, stage)
        assert f"length {vector.norm():.1f}" in text
        favourite, q = best(viewer, lenses[stage][place])
        assert re.search(rf"{re.escape(favourite)}\s+{re.escape(shown(q))}", text)
        assert f"“{answer}” {shown(lenses[stage][place][token].exp().item())}" in text
        page.get_by_role("radio", name=STAGES[stage]).check()
        detail = page.inner_text("main")
        if stage:
            more = added[stage][place].norm()
            assert f"adds {more:.1f}" in text
            assert (
                f"A vector of length {more:.1f} is added to one of length "
                f"{before.norm():.1f}; the sum has length {vector.norm():.1f}."
                in detail
            )
            old = lenses[stage - 1][place][int(lenses[stage][place].argmax())].exp()
            assert probabilities(page, favourite) == [shown(old.item()), shown(q)]
        else:
            embedding = viewer.model().embedding.embedding.weight
            size = 8 * embedding[viewer.token_ids()[0, place]].norm().item()
            assert f"times the root of 64, has length {size:.1f}." in detail
            # sine and cosine of one angle: d_model / 2 pairs of length 1
            assert f"place {place} has length {math.sqrt(32):.1f}." in detail
            assert probabilities(page, favourite) == [shown(q)]
    maps = attention_maps(viewer.model(), viewer.token_ids())[:, 0]
    for block, stage in enumerate((1, 3)):
        page.get_by_role("radio", name=STAGES[stage]).check()
        for head in range(N_HEADS):
            expected = written(maps[block, head, place, : place + 1].tolist())
            assert looks(page, f"head {head}") == expected
    small = page.locator(".lc-rnn-reader small").all_inner_texts()
    assert small[1:] == [f"{one:.1f}" for one in bits(viewer, viewer.model())]


def test_a_stage_says_what_it_raises_and_lowers(visit):
    page = visit("stack")
    _, lenses = StackViewer().way_up()
    tokens = pretrained.facts("transformer")["tokens"]
    page.get_by_role("radio", name=STAGES[3]).check()
    change = lenses[3][-1].exp() - lenses[2][-1].exp()
    for sign, verb in ((1, "raises"), (-1, "lowers")):
        most = (sign * change).argmax()
        said = f"{verb} “{named(tokens[most])}” by {change[most].abs():.3f}"
        assert said in page.inner_text("main")


def test_stack_by_keyboard(visit):
    page = visit("stack")
    tab_to(page, page.get_by_role("radio", name=STAGES[0]))
    page.keyboard.press("ArrowUp")  # up the stack
    assert "Attention gathers from the words that are marked" in page.inner_text("main")
    page.keyboard.press("ArrowUp")
    assert "The feed-forward network sees “agrees” alone." in page.inner_text("main")
    assert page.get_by_role("radio", name=STAGES[2]).is_checked()
    tab_to(page, field(page))
    page.keyboard.press("Control+A")
    page.keyboard.type("every goose")
    assert "After “<s> every goose” the model answers" in status(page)
    assert "sees “goose” alone" in page.inner_text("main")
    tab_to(page, page.locator(".lc-rnn-reader input:checked"))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "After “<s>” the model answers" in status(page)
    assert "sees “<s>” alone" in page.inner_text("main")


# ---------------------------------------------------------------------------- what readers type


@pytest.mark.parametrize("name", WIDGETS)
def test_what_cannot_be_read_is_said(visit, name):
    page = visit(name)
    before = status(page)
    field(page).fill("the rabit sleeps")
    assert alerts(page) == (
        f"“rabit” is none of the 102 words of the teaching language. Near it: rabbit. {STILL}"
    )
    assert field(page).get_attribute("aria-invalid") == "true"
    assert status(page) == before  # the last sentence that could be read
    field(page).fill("the rab")
    assert alerts(page) == ""  # still being typed
    assert "the” " in status(page)
    field(page).press("Enter")
    assert alerts(page).startswith("“rab” is none of the 102 words")
    field(page).fill("xylophone zebra")
    assert alerts(page).endswith(f"language. All of them are listed below. {STILL}")
    field(page).fill(" ")
    assert alerts(page) == f"Type a word, or choose an example. {STILL}"
    field(page).fill(f"{SIXTY} the")
    assert alerts(page) == f"These are 61 words: at most 60 can be read. {STILL}"
    field(page).fill(SIXTY)
    assert alerts(page) == "" and page.locator(".lc-rnn-reader label").count() == 61
    page.get_by_label("Examples").select_option(index=2)
    assert field(page).input_value() == EXAMPLES[1]
    assert alerts(page) == "" and "sleep” " in status(page)
    evil = "<img src=x onerror=document.title='hacked'> __proto__ constructor"
    field(page).fill(evil)
    assert "“<img” is none of the 102 words" in alerts(page)
    field(page).fill("the __proto__ constructor")
    assert "“__proto__” is none of the 102 words" in alerts(page)
    assert page.locator(".lmcourse img").count() == 0 and page.title() == "Widgets"


LIVE = """async ([source, state, name]) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const listeners = [];
    const model = {
        get: (key) => state[key],
        set(key, value) {
            state[key] = value;
            listeners.filter(([event]) => event === `change:${key}`).forEach(([, f]) => f());
        },
        save_changes() {},
        on: (...pair) => listeners.push(pair),
    };
    globalThis.model = model;
    globalThis.saved = state;
    state.weights = new DataView((await lmcourse.weights(name)).bytes.buffer);
    const el = document.createElement("div");
    document.querySelector("main").replaceChildren(el);
    const returned = (await import(url)).default.render({ model, el });
    if (returned instanceof Promise) throw new Error("render waits for the weights");
}"""


def live(page, viewer) -> None:
    """Draw a viewer as a kernel would have it drawn: its bytes are sent, traits can be set."""
    source = bundle(f"{viewer.name}.js")
    page.evaluate(LIVE, [source, viewer.state(), viewer.pretrained])
    page.wait_for_function("() => !document.body.textContent.includes('is loading …')")


def test_traits_go_to_the_head_viewer_and_come_back(visit):
    page = visit("head")
    live(page, HeadViewer("the cat sleeps"))
    page.evaluate("() => model.set('sentence', 'every fox waits')")
    assert field(page).input_value() == "every fox waits"
    page.evaluate("() => { model.set('position', 2); model.set('layer', 1); }")
    page.evaluate("() => { model.set('head', 3); model.set('off', [[0, 0], [1, 3]]); }")
    assert status(page).startswith("Layer 1, head 3: “fox” looks most at")
    assert "With 2 heads off" in status(page)
    assert not page.get_by_label("layer 0, head 0 is on").is_checked()
    page.get_by_label("layer 0, head 0 is on").check()
    page.get_by_label("layer 0, head 2 is on").uncheck()
    choose(page, 1)
    saved = page.evaluate("() => ({ ...saved, weights: null })")
    assert saved["off"] == [[0, 2], [1, 3]] and saved["position"] == 1
    again = HeadViewer(**{key: saved[key] for key in ("sentence", "position", "off")})
    assert again.off == [[0, 2], [1, 3]]


def test_traits_go_to_the_stack_viewer_and_come_back(visit):
    page = visit("stack")
    live(page, StackViewer("the cat sleeps"))
    page.evaluate("() => model.set('sentence', 'every fox waits')")
    page.evaluate("() => { model.set('position', 2); model.set('stage', 4); }")
    assert "The feed-forward network sees “fox” alone." in page.inner_text("main")
    page.get_by_role("radio", name=STAGES[3]).check()
    field(page).fill("some mice")
    saved = page.evaluate("() => ({ ...saved, weights: null })")
    assert (saved["sentence"], saved["position"], saved["stage"]) == ("some mice", 2, 3)


# -------------------------------------------------------------------------------- from Python


@pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
def test_snapshot_is_the_same_every_time_and_names_its_weights(make):
    first, second = make(), make()
    assert first.snapshot() == second.snapshot()
    assert repr(first) == f"{make.__name__}({EXAMPLES[0]!r}, position=11)"
    text = re.search(r'application/json">(.*?)</script>', first.snapshot(), re.S)
    assert json.loads(text[1]) == first.state()
    assert first.state()["weights_sha256"] == pretrained.sha256(make.pretrained)
    assert len(first.snapshot()) < 5_000  # the weights are not in it


@pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentence": "the rabit"}, "'rabit' is none of the 102 words"),
        ({"sentence": " "}, "' ' has 0 words: give 1 to 60"),
        ({"sentence": f"{SIXTY} the"}, "has 61 words: give 1 to 60"),
        ({"sentence": "the </s>"}, "'</s>' is none of the 102 words"),
        ({"examples": ["the", "a zebra"]}, "'zebra' is none of the 102 words"),
        ({"position": -1}, "position=-1 is below 0"),
        ({"position": 12}, "position=12, and the sentence has 11 words"),
    ],
)
def test_viewers_refuse(make, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 2}, "layer=2 is not between 0 and 1"),
        ({"head": -1}, "head=-1 is not between 0 and 3"),
        ({"off": [[0, 4]]}, "head=4 is not between 0 and 3"),
        ({"off": [[2, 0]]}, "layer=2 is not between 0 and 1"),
        ({"off": [[0]]}, "off holds [0]: give pairs of layer and head"),
    ],
)
def test_the_head_viewer_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        HeadViewer(**arguments)


def test_the_stack_viewer_refuses():
    for stage in (-1, 5):
        with pytest.raises(ValueError, match=f"stage={stage} is not between 0 and 4"):
            StackViewer(stage=stage)


def test_heads_that_are_off_are_kept_in_order():
    viewer = HeadViewer(off=[[1, 2], [0, 3], [1, 2]])
    assert viewer.off == [[0, 3], [1, 2]]
    viewer.sentence = "the  cat\n sleeps"
    assert viewer.sentence == "the cat sleeps" and viewer.place() == 3


def test_head_fallback():
    viewer = HeadViewer("the rabbit near the cats sleeps", off=[[1, 0]], position=3)
    text = viewer.fallback()
    maps = attention_maps(viewer.without_heads(), viewer.token_ids())[:, 0, :, 3]
    for layer, head, state in ((0, 2, "on"), (1, 0, "off"), (1, 3, "on")):
        weights = maps[layer, head]
        cells = (state, viewer.words()[int(weights.argmax())], f"{weights.max():.1f}")
        row = "".join(f"<td>{cell.replace('<s>', '&lt;s&gt;')}</td>" for cell in cells)
        assert f'<th scope="row">layer {layer}, head {head}</th>{row}' in text
    whole, without = (
        sum(bits(viewer, model)) for model in (viewer.model(), viewer.without_heads())
    )
    assert f"cost {whole:.1f} bits with all heads, and {without:.1f} bits" in text
    assert "without those" not in HeadViewer().fallback()


def test_stack_fallback():
    viewer = StackViewer("the rabbit near the cats", position=2)
    added, lenses = viewer.way_up()
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', viewer.fallback())
    assert tuple(name for name, _ in rows) == STAGES
    assert f"<td>{added[3][2].norm():.1f}</td>" in rows[3][1]
    assert f"<td>{sum(added)[2].norm():.1f}</td>" in rows[4][1]
    token, p = best(viewer, lenses[4][2])
    shown_token = "end" if token == "⏎ end" else token
    assert f"<td>{shown_token} {p:.1f}</td><td>{p:.1f}</td>" in rows[4][1]
