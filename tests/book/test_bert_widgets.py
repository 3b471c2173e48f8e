"""The blank to be filled and the attention of a real encoder: their numbers, and in a page."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from widget_page import alerts, status, tab_to, violations

from lmcourse import pretrained
from lmcourse.bert import BertConfig
from lmcourse.data.grammar import TEACHING_GRAMMAR, teaching_language
from lmcourse.markov import ModifiedKneserNey
from lmcourse.pretrained import recipes
from lmcourse.pretrained.real_bert import CREDIT
from lmcourse.pretrained.tables import trigram_log_probs
from lmcourse.tokenizers import BOS, EOS
from lmcourse.widgets import EncoderAttention, FillBlank
from lmcourse.widgets.base import bundle, read
from lmcourse.widgets.fill_blank import EXAMPLES, SYSTEMS

WORDS = TEACHING_GRAMMAR.words
SIXTY = " ".join(["the cat which"] * 20)
STILL = "Still shown below: the last sentence that could be read."
BROKEN = "the rabbits sleeps the"  # no word at place 2 makes it a sentence
TIPS = [
    {"layer": 2, "head": 1, "what": "the piece after"},
    {"layer": 5, "head": 11, "what": "<b>itself</b>"},
    {"layer": 1, "head": 1, "what": "a place", "sentence": 2, "piece": 5},
    {"layer": 1, "head": 1, "what": "a sentence", "sentence": 3},
]
PAGES = {
    "fill": FillBlank,
    "broken": lambda: FillBlank(BROKEN, position=2),
    "sixty": lambda: FillBlank(SIXTY, layer=1, head=2),
    "encoder": lambda: EncoderAttention(heads=TIPS),
    "last": lambda: EncoderAttention(sentence=1, layer=5, head=11, piece=3),
}
WIDGETS = {"fill": "fill_blank", "encoder": "encoder_attention"}


def snapshots() -> dict[str, str]:
    """A page for every widget, and pages that cannot work."""
    snapshots = {name: make().snapshot() for name, make in PAGES.items()}
    for name, key in (("fill", "trigram"), ("encoder", "weights_sha256")):
        other = re.sub(rf'("{key}":")\w{{8}}', r"\g<1>00000000", snapshots[name])
        snapshots[f"other_{name}"] = other
    return snapshots


def field(page):
    return page.get_by_label("A sentence of the teaching language")


def choose(page, index: int) -> None:
    """Press a word of the sentence, or a piece, counted from 0."""
    page.locator(".lc-rnn-reader label").nth(index).click()


def shown(p: float) -> str:
    if 0 < p < 0.0005:
        return "< 0.001"
    return "> 0.999" if 0.9995 < p < 1 else f"{p:.3f}"


def two_places(weight: float) -> str:
    return "·" if weight < 0.005 else f"{weight:.2f}".removeprefix("0")


# -------------------------------------------------------------------------- in light and dark


def play(page) -> None:
    """A little use of every widget, so that what appears later is looked at too."""
    choose(page, 2)
    page.locator(".lc-vw-pick").nth(5).click()
    if page.get_by_text("Fill the blank").count():
        page.get_by_text("words of the teaching language").last.click()
        page.get_by_text("The weights of all heads as a table").click()
        field(page).fill("the rabit ")
    else:
        page.locator(".lc-vw-hit").nth(4).click()
        page.get_by_label("Sentence").select_option(index=0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", PAGES)
def test_no_error_no_overflow_nothing_for_axe(visit, name, width, scheme):
    page = visit(name, width=width, scheme=scheme)
    assert page.locator(".lmcourse-widget:not([data-state=live])").count() == 0
    play(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


@pytest.mark.parametrize("name", PAGES)
def test_over_http_too(visit, name):
    page = visit(name, "http")
    play(page)
    assert page.log == []


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_the_fallback_is_read(read_without_scripts, name):
    page = read_without_scripts(name)
    assert page.get_by_role("table").is_visible()


@pytest.mark.parametrize("name", WIDGETS)
def test_other_weights_are_refused_and_said(visit, name):
    page = visit(f"other_{name}")
    page.wait_for_function("() => document.body.textContent.includes('are not those')")
    assert "not those that this page was made with" in status(page)
    assert page.get_by_role("radio").count() == 0


# ------------------------------------------------------------------------------------ numbers

IMPORT = """async ([source, names]) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    globalThis.widget = await import(url);
    globalThis.lists = (tensor) => tensor.shape.length > 1
        ? Array.from({ length: tensor.shape[0] }, (_, i) => lists(widget.row(tensor, i)))
        : [...tensor.data];
    globalThis.all = {};
    for (const name of names) {
        const file = await lmcourse.weights(name);
        all[name] = widget.readSafetensors(file.bytes);
    }
}"""
ALSO = {
    "fill_blank": ["readSafetensors", "row", "partsOf", "factsOf", "HEADS"],
    "encoder_attention": ["readSafetensors", "row"],
}
MODELS = ["bert", "trigram", "transformer"]


@pytest.fixture
def compute(visit):
    """`compute("fill", expression, argument)`: an expression over the widget's own functions."""

    def compute(name: str, expression: str, argument: object):
        page = visit(name)
        file = WIDGETS[name]
        also = f"\nexport {{ {', '.join(ALSO[file])} }};"
        names = MODELS if name == "fill" else []
        page.evaluate(IMPORT, [bundle(f"{file}.js") + also, names])
        return page.evaluate(expression, argument)

    return compute


def close(found, expected, atol: float) -> None:
    found = torch.tensor(found, dtype=torch.float64)
    torch.testing.assert_close(found, expected.double(), rtol=0, atol=atol)


def blanks() -> list[tuple[list[str], int]]:
    """The examples, three places of sampled sentences, and what is no sentence."""
    stream = torch.Generator().manual_seed(9)
    found = [(one["sentence"].split(), one["position"] - 1) for one in EXAMPLES]
    for sample in TEACHING_GRAMMAR.sample(6, stream):
        places = {0, len(sample.words) // 2, len(sample.words) - 1}
        found += [(list(sample.words), place) for place in sorted(places)]
    words = ["which"]
    return [*found, (words, 0), (BROKEN.split(), 1), (SIXTY.split(), 30)]


def answers(words: list[str], place: int) -> list:
    widget = FillBlank(" ".join(words), position=place + 1)
    return list(widget.answers().values())


def test_all_systems_in_the_page_are_those_of_python(compute):
    cases = blanks()
    expression = """(cases) => {
        const systems = widget.systemsOf(all);
        const found = cases.map(([words, place]) => systems.answer(words, place));
        return { vocabulary: systems.vocabulary, found: found.map(({ probs, maps }) => ({
            probs: probs.map((one) => one && [...one]), maps: maps.map(lists),
        })) };
    }"""
    out = compute("fill", expression, cases)
    assert tuple(out["vocabulary"]) == WORDS
    for (words, place), found in zip(cases, out["found"], strict=True):
        widget = FillBlank(" ".join(words), position=place + 1)
        close(found["maps"], widget.maps(), 1e-5)
        expected = answers(words, place)
        assert (found["probs"][0] is None) == (expected[0] is None)
        for in_page, probs, atol in zip(
            found["probs"], expected, (1e-6, 1e-5, 1e-6, 1e-5), strict=True
        ):
            if probs is not None:
                close(in_page, probs, atol)
                assert sum(in_page) == pytest.approx(1)


def test_log_probs_of_bert_and_of_the_transformer(compute):
    cases = blanks()
    expression = """(cases) => {
        const bert = widget.bertOf(all.bert);
        const parts = widget.partsOf(all.transformer);
        return cases.map(([words, place]) => [
            lists(bert.fillIn(words, place).logProbs),
            lists(widget.nextToken(all.transformer, parts, words.slice(0, place))),
        ]);
    }"""
    model, left_to_right = FillBlank().model(), recipes.load("transformer")
    tokens = pretrained.facts("transformer")["tokens"]
    for (words, place), found in zip(
        cases, compute("fill", expression, cases), strict=True
    ):
        widget = FillBlank(" ".join(words), position=place + 1)
        left = torch.tensor([[tokens.index(word) for word in [BOS, *words[:place]]]])
        with torch.no_grad():
            of_bert = model(widget.token_ids())[0, place + 1].log_softmax(dim=0)
            of_left = left_to_right(left)[0, -1].log_softmax(dim=0)
        close(found[0], of_bert, 1e-4)
        close(found[1], of_left, 1e-4)


def test_the_trigram_in_the_page_is_the_model_of_chapter_2(compute):
    """In the page and in Python the stored numbers give P of modified Kneser-Ney."""
    language = teaching_language(0)
    encode = language.tokenizer.encode
    model = ModifiedKneserNey(3, language.tokenizer.vocab_size)
    model.fit([encode(text) for text in language.train])
    cases = [encode(text) for text in (*language.test[:40], BROKEN, "which", SIXTY)]
    assert list(language.tokenizer.tokens) == pretrained.facts("trigram")["tokens"]
    tensors = pretrained.load_tensors("trigram")
    expression = """(cases) => {
        const trigram = widget.trigramOf(all.trigram);
        const upTo = (ids, t) => (t ? trigram.logProb(ids.slice(0, t + 1)) : 0);
        return cases.map((ids) => ids.map((_, t) => upTo(ids, t)));
    }"""
    for ids, found in zip(cases, compute("fill", expression, cases), strict=True):
        token_ids = torch.tensor([ids])
        expected = model.log_prob(token_ids)[0]
        in_page = torch.tensor(found, dtype=torch.float64).diff()
        close(in_page.exp().tolist(), expected.exp(), 1e-6)
        stored = trigram_log_probs(tensors, token_ids)[0]
        close(stored.exp().tolist(), expected.exp(), 1e-6)


def test_the_grammar_in_the_page_is_that_of_python(compute):
    facts = pretrained.facts("trigram")
    rules = {
        left: {" ".join(right): prob for right, prob in rights}
        for left, rights in TEACHING_GRAMMAR.rules.items()
    }
    assert facts["rules"] == rules and facts["start"] == TEACHING_GRAMMAR.start
    sentences = [
        list(sample.words)
        for sample in TEACHING_GRAMMAR.sample(50, torch.Generator().manual_seed(1))
    ]
    cases = [*sentences, BROKEN.split(), SIXTY.split()]
    expression = """(cases) => {
        const grammar = widget.grammarOf(widget.factsOf(all.trigram));
        return cases.map((words) => {
            let state = grammar.begin();
            return words.map((word) => {
                const next = grammar.advance(state, word);
                state = next.state;
                return [next.prob, Object.fromEntries(state)];
            });
        });
    }"""
    for words, found in zip(cases, compute("fill", expression, cases), strict=True):
        state = TEACHING_GRAMMAR.start_state()
        for word, (in_page, stacks) in zip([*words, EOS], found, strict=False):
            state, prob = TEACHING_GRAMMAR.advance(state, word)
            assert in_page == pytest.approx(prob, rel=0, abs=1e-12)
            assert stacks == pytest.approx({" ".join(k): v for k, v in state.items()})


def test_a_grammar_by_hand(compute):
    expression = """(grammars) => grammars.map(([rules, words, place, candidates]) =>
        widget.grammarOf({ rules, start: "S" }).fillIn(words, place, candidates))"""
    rules = {"S": {"a b": 0.2, "c b": 0.6, "a c": 0.2}}
    found = compute(
        "fill",
        expression,
        [
            [rules, ["?", "b"], 0, ["a", "b", "c"]],
            [rules, ["b", "?"], 1, ["a", "b", "c"]],
            [{"S": {"a S b": 0.25, "c": 0.75}}, ["a", "?", "b"], 1, ["a", "c"]],
        ],
    )
    assert found[0] == pytest.approx([0.25, 0, 0.75])
    assert found[1:] == [None, [0, 1]]


def test_what_a_head_does_on_average(compute):
    rows = torch.rand(5, 5, generator=torch.Generator().manual_seed(2)).double()
    found = dict(
        compute("encoder", "(rows) => widget.habits(rows)", rows.tolist()),
    )
    assert found == pytest.approx(
        {
            "itself": rows.diagonal().mean().item(),
            "the piece before": rows.diagonal(-1).mean().item(),
            "the piece after": rows.diagonal(1).mean().item(),
            "[CLS]": rows[:, 0].mean().item(),
            "[SEP]": rows[:, -1].mean().item(),
        }
    )


@pytest.mark.parametrize("name", WIDGETS.values())
def test_the_parts_have_names_of_their_own(name):
    """They are written into one module: no name of one may be that of another."""
    parts, waiting = set(), [f"{name}.js"]
    while waiting:
        part = waiting.pop()
        parts.add(part)
        waiting += re.findall(r'from "\./([\w-]+\.js)"', read(part))
    names = [
        found
        for part in parts
        for found in re.findall(
            r"^(?:export )?(?:async )?(?:function|const|class|let) (\w+)",
            read(part),
            re.M,
        )
    ]
    assert len(parts) > 2 and len(names) == len(set(names))


# ------------------------------------------------------------------------------ fill the blank


def system(page, name: str) -> dict[str, str]:
    """The words that a system shows, each with its probability."""
    table = page.get_by_role("table", name=re.compile(f"^{name}"))
    rows = table.get_by_role("row").all()
    cells = [row.locator("th, td").all_inner_texts() for row in rows]
    return {th.split()[0]: td.strip() for th, td in cells}


def check(page, sentence: str, position: int) -> None:
    """All that the page says of a blank is what Python computes."""
    words = sentence.split()
    hidden = words[position - 1]
    texts, costs, reason = [], [], ""
    for name, probs in FillBlank(sentence, position=position).answers().items():
        if probs is None:
            assert "No word fits: with these other words" in page.inner_text("main")
            continue
        best, p = int(probs.argmax()), probs.max().item()
        texts.append(f"{name} “{WORDS[best]}” ({shown(p)})")
        own = probs[WORDS.index(hidden)].item()
        cost = f"{max(0, -math.log2(own)):.1f} bits" if own else "impossible"
        costs.append(f"{name}: {cost}")
        if name == "best possible" and not own:
            reason = f" By the grammar “{hidden}” cannot stand there."
        rows = system(page, name)
        assert rows[hidden] == shown(own)
        likely = probs.topk(5).values.tolist()
        found = [value for word, value in rows.items() if word != hidden]
        expected = [shown(one) for one in likely if one > 0]
        assert set(found) <= set(expected) and set(expected) <= {*rows.values()}
    said = status(page)
    assert said.startswith(f"“{hidden}” is hidden, word {position} of {len(words)}.")
    assert said.endswith(
        f"Likeliest there: {', '.join(texts)}. The hidden word costs: {', '.join(costs)}.{reason}"
    )
    assert page.get_by_role("rowheader", name=f"{hidden}, the hidden word").count() == (
        len(texts)
    )


def test_the_blank_by_mouse(visit):
    page = visit("fill")
    sentence = EXAMPLES[0]["sentence"]
    check(page, sentence, EXAMPLES[0]["position"])
    for position in (2, 8):
        choose(page, position - 1)
        check(page, sentence, position)
    assert page.locator(".lc-rnn-reader small").all_inner_texts() == [
        *[""] * 7,
        "hidden",
    ]


def test_examples_hide_their_word(visit):
    page = visit("fill")
    options = page.get_by_label("Examples").locator("option").all_inner_texts()
    assert options[1:] == [one["what"] for one in EXAMPLES]
    for index in (1, 2, 3, 4, 0):
        page.get_by_label("Examples").select_option(index=index + 1)
        assert field(page).input_value() == EXAMPLES[index]["sentence"]
        check(page, EXAMPLES[index]["sentence"], EXAMPLES[index]["position"])


def test_where_nothing_fits_the_others_answer(visit):
    page = visit("broken")
    assert "By the grammar no word fits. Likeliest there: BERT" in status(page)
    check(page, BROKEN, 2)
    field(page).fill("the rabbits sleeps")
    check(page, "the rabbits sleeps", 2)
    choose(page, 2)
    check(page, "the rabbits sleeps", 3)
    assert "best possible: impossible, BERT: " in status(page)
    assert status(page).endswith("By the grammar “sleeps” cannot stand there.")


def test_an_edit_keeps_the_blank(visit):
    page = visit("fill")
    choose(page, 2)
    for sentence, position in (
        ("the rabbit near the dogs sleeps", 3),
        ("the rabbit", 2),
        ("the rabbit beside the dogs sleeps", 3),
    ):
        field(page).fill(sentence)
        check(page, sentence, position)
    page.get_by_label("Examples").select_option(index=5)
    longer = f"{EXAMPLES[4]['sentence']} , agrees Anna"
    field(page).fill(longer)
    check(page, longer, EXAMPLES[4]["position"])
    field(page).fill("the cat")
    choose(page, 0)
    field(page).fill(longer)
    check(page, longer, 1)


def test_where_bert_looks(visit):
    page = visit("fill")
    weights = FillBlank().maps()[:, :, EXAMPLES[0]["position"]]
    radios = page.locator(".lc-fb-pick input")
    n_layers, n_heads = weights.shape[:2]
    assert radios.count() == n_layers * n_heads
    seen = FillBlank().words()[1:]
    seen = ["[CLS]", *seen, "[SEP]"]
    seen[EXAMPLES[0]["position"]] = "[MASK]"
    for layer in range(n_layers):
        for head in range(n_heads):
            found = weights[layer, head]
            most = int(found.argmax())
            radio = radios.nth(layer * n_heads + head)
            assert radio.get_attribute("aria-label") == (
                f"layer {layer}, head {head}: looks most at “{seen[most]}”, {found[most]:.2f}"
            )
            card = page.locator(".lc-fb-pick").nth(layer * n_heads + head)
            label = f"head {head}\n“{seen[most]}” {two_places(found[most])}"
            assert card.locator("small").inner_text() == label
            card.click()
            name = f"Layer {layer}, head {head}: where it looks from [MASK]"
            strip = page.get_by_role("list", name=name)
            items = strip.get_by_role("listitem").all_inner_texts()
            assert [item.split("\n") for item in items] == [
                [token, two_places(one)]
                for token, one in zip(seen, found.tolist(), strict=True)
            ]


def test_the_blank_by_keyboard(visit):
    page = visit("fill")
    tab_to(page, field(page))
    page.keyboard.press("Control+A")
    page.keyboard.type("Every goose,that sleeps")  # capitals and commas are put right
    assert alerts(page) == ""
    check(page, "every goose , that sleeps", 5)
    tab_to(page, page.locator(".lc-rnn-reader input:checked"))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    check(page, "every goose , that sleeps", 3)
    tab_to(page, page.locator(".lc-fb-pick input:checked"))
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("list", name="Layer 0, head 1").is_visible()


def test_what_cannot_be_read_is_said(visit):
    page = visit("fill")
    before = status(page)
    field(page).fill("the rabit sleeps")
    assert alerts(page) == (
        "“rabit” is none of the 102 words of the teaching language. Near it: rabbit. "
        f"{STILL}"
    )
    field(page).fill("The rabbit sleeps.")
    assert alerts(page) == (
        "“sleeps.” is none of the 102 words of the teaching language. "
        f"Leave the full stop out: the teaching language has none. {STILL}"
    )
    assert status(page) == before
    field(page).fill("xylophone zebra")
    assert alerts(page).endswith(f"language. All of them are listed below. {STILL}")
    field(page).fill(" ")
    assert alerts(page) == f"Type a word, or choose an example. {STILL}"
    field(page).fill(f"{SIXTY} the")
    assert alerts(page) == f"These are 61 words: at most 60 can be read. {STILL}"
    field(page).fill("<img src=x onerror=document.title='hacked'>")
    assert "“<img” is none of the 102 words" in alerts(page)
    assert page.locator(".lmcourse img").count() == 0 and page.title() == "Widgets"
    field(page).fill("the rabbit sleeps")
    assert alerts(page) == ""


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("zebra", "All of them are listed below."),
        ("Zebra", "All of them are listed below."),
        ("lion", "All of them are listed below."),
        ("rabit", "Near it: rabbit."),
        ("ana", "Near it: Anna, Hana."),
        ("Verra", "Near it: Vera."),
        ("verra", "Near it: Vera."),
        ("folows", "Near it: follows, follow."),
        ("x.", "Leave the full stop out: the teaching language has none."),
    ],
)
def test_what_is_near_an_unknown_word(visit, word, hint):
    page = visit("fill")
    field(page).fill(f"{word} ")
    assert alerts(page).endswith(f"of the teaching language. {hint} {STILL}")


# --------------------------------------------------------------------- the attention of a real one


def encoder_rows(widget) -> list[list[float]]:
    return widget.maps(widget.sentence)[widget.layer, widget.head].double().tolist()


def check_encoder(page, widget) -> None:
    pieces, rows = widget.pieces(), encoder_rows(widget)
    row = rows[widget.piece]
    first, second = sorted(range(len(row)), key=lambda i: -row[i])[:2]
    head = f"Layer {widget.layer}, head {widget.head}"
    text = f"{head}: “{pieces[widget.piece]}” looks most at “{pieces[first]}” ({row[first]:.2f})"
    if row[second] >= 0.05:
        text += f", then at “{pieces[second]}” ({row[second]:.2f})"
    assert status(page) == f"{text}."
    strip = page.get_by_role("list", name=f"{head}: where")
    items = strip.get_by_role("listitem").all_inner_texts()
    assert [item.split("\n") for item in items] == [
        [token, two_places(one)] for token, one in zip(pieces, row, strict=True)
    ]
    itself = sum(rows[i][i] for i in range(len(rows))) / len(rows)
    means = page.get_by_role("table", name="Mean weight")
    cell = means.get_by_role("rowheader", name="itself").locator("xpath=../td")
    assert float(cell.inner_text()) == pytest.approx(itself, abs=0.0051)
    label = page.locator(".lc-vw-large svg").get_attribute("aria-label").split("; ")
    tops = [max(range(len(one)), key=one.__getitem__) for one in rows]
    assert label == [
        f"{piece} looks most at {pieces[top]}, {one[top]:.2f}"
        for piece, one, top in zip(pieces, rows, tops, strict=True)
    ]


def test_the_encoder_by_mouse(visit):
    page = visit("encoder")
    widget = EncoderAttention()
    n_layers, n_heads = widget.maps(0).shape[:2]
    assert page.locator(".lc-vw-pick").count() == n_layers * n_heads == 72
    check_encoder(page, widget)
    page.locator(".lc-vw-pick").nth(3 * n_heads + 7).click()
    choose(page, 4)
    check_encoder(page, EncoderAttention(layer=3, head=7, piece=4))
    page.locator(".lc-vw-hit").nth(1).click()
    check_encoder(page, EncoderAttention(layer=3, head=7, piece=1))
    page.get_by_label("Sentence").select_option(index=1)
    check_encoder(page, EncoderAttention(sentence=1, layer=3, head=7, piece=1))
    tip = page.get_by_role("button", name="layer 5, head 11: <b>itself</b>")
    tip.click()
    assert tip.get_attribute("aria-pressed") == "true"
    check_encoder(page, EncoderAttention(sentence=1, layer=5, head=11, piece=1))
    assert (
        CREDIT in page.inner_text("main") and page.locator(".lmcourse b").count() == 0
    )


def test_a_tip_may_choose_the_sentence_and_the_piece(visit):
    page = visit("encoder")
    place = page.get_by_role("button", name="layer 1, head 1: a place")
    sentence = page.get_by_role("button", name="layer 1, head 1: a sentence")
    for tip, other, traits in (
        (place, sentence, {"sentence": 2, "piece": 5}),
        (sentence, place, {"sentence": 3, "piece": 5}),
    ):
        tip.click()
        check_encoder(page, EncoderAttention(layer=1, head=1, **traits))
        assert tip.get_attribute("aria-pressed") == "true"
        assert other.get_attribute("aria-pressed") == "false"
    choose(page, 1)
    assert sentence.get_attribute("aria-pressed") == "true"


def test_both_widgets_say_how_they_count_and_what_the_rows_are(visit):
    for name in WIDGETS:
        text = visit(name).inner_text("main")
        assert "Layers and heads are counted from 0" in text
        said = "The rows overlap: for the first word, the piece before is [CLS]."
        assert (said in text) == (name == "encoder")
        said = "the trigram is the n-gram with every word tried"
        assert (said in text) == (name == "fill")


def test_a_small_map_holds_the_weights(visit):
    """Each cell is drawn once, in the shade nearest to its weight."""
    page = visit("last")
    n_cells = page.locator(".lc-vw-pick svg").evaluate_all(
        "maps => maps.map((map) => [...map.children].map((path) => "
        "[path.getAttribute('fill-opacity'), path.getAttribute('d').match(/M/g).length]))"
    )
    maps = EncoderAttention(sentence=1).maps(1).flatten(0, 1)
    for drawn, weights in zip(n_cells, maps, strict=True):
        levels = (weights.double() * 12 + 0.5).floor()
        expected = [
            [f"{level / 12:.2f}", int((levels == level).sum())]
            for level in range(1, 13)
            if (levels == level).any()
        ]
        assert drawn == expected


def test_the_encoder_by_keyboard(visit):
    page = visit("encoder")
    tab_to(page, page.locator(".lc-rnn-reader input:checked"))
    page.keyboard.press("ArrowRight")
    check_encoder(page, EncoderAttention(piece=1))
    tab_to(page, page.get_by_role("button", name="layer 2, head 1"))
    page.keyboard.press("Enter")
    check_encoder(page, EncoderAttention(layer=2, head=1, piece=1))
    tab_to(page, page.get_by_role("radio", name="layer 2, head 1", exact=True))
    page.keyboard.press("ArrowLeft")
    check_encoder(page, EncoderAttention(layer=2, head=0, piece=1))
    tab_to(page, page.get_by_label("Sentence"))
    page.keyboard.press("ArrowDown")
    check_encoder(page, EncoderAttention(sentence=1, layer=2, head=0, piece=1))
    tab_to(page, page.get_by_role("region", name="The chosen head"))


# ---------------------------------------------------------------------------------- by a kernel

LIVE = """async ([source, state, own, others]) => {
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
    Object.assign(globalThis, { model, saved: state });
    const sent = async (name) => new DataView((await lmcourse.weights(name)).bytes.buffer);
    state.weights = await sent(own);
    state.other_weights = {};
    for (const name of others) state.other_weights[name] = await sent(name);
    lmcourse.weights = () => { throw new Error("asked for a file"); };
    const el = document.createElement("div");
    document.querySelector("main").replaceChildren(el);
    const returned = (await import(url)).default.render({ model, el });
    if (returned instanceof Promise) throw new Error("render waits for the weights");
}"""


def live(page, widget) -> None:
    """Draw a widget as a kernel would have it drawn: its bytes are sent, traits can be set."""
    others = list(getattr(widget, "other_pretrained", ()))
    source = bundle(f"{widget.name}.js")
    page.evaluate(LIVE, [source, widget.state(), widget.pretrained, others])
    page.wait_for_function("() => !document.body.textContent.includes('loading …')")


def test_traits_go_to_the_blank_and_come_back(visit):
    page = visit("fill")
    live(page, FillBlank("the cat sleeps"))
    check(page, "the cat sleeps", 3)
    page.evaluate("() => model.set('sentence', 'every fox waits')")
    assert field(page).input_value() == "every fox waits"
    page.evaluate("() => { model.set('position', 2); model.set('layer', 1); }")
    page.evaluate("() => model.set('head', 3)")
    check(page, "every fox waits", 2)
    assert page.get_by_role("list", name="Layer 1, head 3").is_visible()
    choose(page, 0)
    page.locator(".lc-fb-pick").nth(2).click()
    saved = page.evaluate("() => ({ ...saved, weights: 0, other_weights: 0 })")
    keys = ("sentence", "position", "layer", "head")
    assert [saved[key] for key in keys] == ["every fox waits", 1, 0, 2]
    FillBlank(**{key: saved[key] for key in keys})


def test_traits_go_to_the_encoder_and_come_back(visit):
    page = visit("encoder")
    live(page, EncoderAttention())
    page.evaluate("() => { model.set('sentence', 1); model.set('layer', 4); }")
    page.evaluate("() => { model.set('head', 9); model.set('piece', 2); }")
    check_encoder(page, EncoderAttention(sentence=1, layer=4, head=9, piece=2))
    page.get_by_label("Sentence").select_option(index=0)
    choose(page, 3)
    page.locator(".lc-vw-pick").nth(14).click()
    saved = page.evaluate("() => ({ ...saved, weights: 0 })")
    assert [saved[key] for key in ("sentence", "layer", "head", "piece")] == [
        0,
        1,
        2,
        3,
    ]


# -------------------------------------------------------------------------------- from Python


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_snapshot_is_the_same_every_time_and_names_its_weights(make):
    first, second = make(), make()
    assert first.snapshot() == second.snapshot()
    text = re.search(r'application/json">(.*?)</script>', first.snapshot(), re.S)
    assert json.loads(text[1]) == first.state()
    assert first.state()["weights_sha256"] == pretrained.sha256(first.pretrained)
    assert len(first.snapshot()) < 6_000  # the weights are not in it


def test_the_blank_sends_and_names_three_models():
    widget = FillBlank()
    names = ("trigram", "transformer")
    assert widget.other_sha256 == {name: pretrained.sha256(name) for name in names}
    for name in names:
        assert widget.other_weights[name] == pretrained.path(name).read_bytes()
    assert "other_weights" not in widget.state()


def test_the_page_reads_the_sizes_of_bert_as_python_does(compute):
    expression = """() => {
        const { nLayers, most } = widget.bertOf(all.bert);
        all.bert["bert.embedding.positions.embedding.weight"].shape[0] = 5;
        return [nLayers, widget.HEADS, most, widget.bertOf(all.bert).most];
    }"""
    config = recipes.load("bert").config
    found = compute("fill", expression, None)
    assert found == [config.n_layers, config.n_heads, 60, 3]


def test_probabilities_by_hand():
    """Each system's own rule, written out for one blank."""
    sentence = "the rabbits which the dog sees sleep"
    widget = FillBlank(sentence, position=2)
    found = widget.answers()
    assert tuple(found) == SYSTEMS
    words = sentence.split()
    exact = TEACHING_GRAMMAR.fill_in_probs(words, 1)
    close(
        found["best possible"].tolist(),
        torch.tensor([exact.get(w, 0) for w in WORDS]),
        1e-7,
    )
    tokens = pretrained.facts("trigram")["tokens"]
    tensors = pretrained.load_tensors("trigram")
    scores = []
    for word in WORDS:
        tried = [BOS, words[0], word, *words[2:], EOS]
        ids = torch.tensor([[tokens.index(one) for one in tried]])
        scores.append(trigram_log_probs(tensors, ids).sum())
    close(found["trigram"].tolist(), torch.stack(scores).softmax(dim=0), 1e-12)
    next_tokens = pretrained.facts("transformer")["tokens"]
    with torch.no_grad():
        left = recipes.load("transformer")(
            torch.tensor([[next_tokens.index(one) for one in (BOS, "the")]])
        )[0, -1].softmax(dim=0)
    left = torch.stack([left[next_tokens.index(word)] for word in WORDS])
    close(found["left to right"].tolist(), left / left.sum(), 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentence": "the rabit"}, "'rabit' is none of the 102 words"),
        ({"sentence": " "}, "' ' has 0 words: give 1 to 60"),
        ({"sentence": f"{SIXTY} the"}, "has 61 words: give 1 to 60"),
        ({"position": 0}, "position=0, and the sentence has 8 words: it is between 1"),
        ({"position": 9}, "position=9, and the sentence has 8 words: it is between 1"),
        ({"layer": 99}, "layer=99 is not between 0 and"),
        ({"head": -1}, "head=-1 is not between 0 and"),
        (
            {"examples": [{"sentence": "the"}]},
            "has the keys ['sentence']; give sentence",
        ),
        (
            {"examples": [{"sentence": "a zebra", "position": 1, "what": ""}]},
            "'zebra' is none of the 102 words",
        ),
        (
            {"examples": [{"sentence": "the cat", "position": 3, "what": ""}]},
            "position=3, and the sentence has 2 words",
        ),
    ],
)
def test_the_blank_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FillBlank(**arguments)


def test_the_blank_refuses_a_trait():
    widget = FillBlank("the cat sleeps", position=3)
    with pytest.raises(ValueError, match="position=0 is no word: 1 is the first word"):
        widget.position = 0
    widget.sentence = "the  cat"  # shorter: the last word is hidden
    assert widget.sentence == "the cat" and widget.place() == 2


def test_more_words_than_positions_are_refused(monkeypatch):
    config = BertConfig(vocab_size=107, context_length=5)
    monkeypatch.setattr("lmcourse.widgets.fill_blank._sizes", lambda: config)
    with pytest.raises(ValueError, match="has 4 words; BERT reads at most 3"):
        FillBlank("the cat sleeps the")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentence": 99}, "sentence=99 is not between 0 and"),
        ({"layer": 6}, "layer=6 is not between 0 and 5"),
        ({"head": 12}, "head=12 is not between 0 and 11"),
        ({"piece": -1}, "piece=-1 is below 0"),
        ({"piece": 999}, "piece=999 is not between 0 and"),
        ({"heads": [{"layer": 0}]}, "holds the keys ['layer']; give layer, head and"),
        ({"heads": [TIPS[0] | {"piece": 0}]}, "'piece', 'what']; give layer, head and"),
        ({"heads": [TIPS[0] | {"sentence": 99}]}, "sentence=99 is not between 0 and"),
        (
            {"heads": [TIPS[2] | {"piece": 99}]},
            "piece=99 is not between 0 and",
        ),
        ({"heads": [{"layer": 7, "head": 0, "what": ""}]}, "layer=7 is not between"),
    ],
)
def test_the_encoder_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        EncoderAttention(**arguments)


def test_fallback_of_the_blank():
    widget = FillBlank()
    text = widget.fallback()
    assert "the rabbits near the dog ____ the birds" in text
    for name, probs in widget.answers().items():
        best, second = probs.topk(2).indices.tolist()
        own = probs[WORDS.index("see")]
        row = re.search(rf'<th scope="row">{name}</th>(.*?)</tr>', text)[1]
        cells = re.findall(r"<td>(.*?)</td>", row)
        assert cells[0] == f"{WORDS[best]} {probs[best]:.2f}"
        assert cells[1] == f"{WORDS[second]} {probs[second]:.2f}"
        assert cells[3] == f"{own:.2f}"
    assert "<td>no word fits</td>" in FillBlank(BROKEN, position=2).fallback()


def test_fallback_of_the_encoder():
    widget = EncoderAttention(layer=1, head=2, heads=TIPS)
    text = widget.fallback()
    for piece, row in zip(widget.pieces(), encoder_rows(widget), strict=True):
        most = row.index(max(row))
        cells = f"<td>{widget.pieces()[most]}</td><td>{row[most]:.2f}</td>"
        assert f'<th scope="row">{piece}</th>{cells}' in text
    assert "layer 5, head 11: &lt;b&gt;itself&lt;/b&gt;" in text and CREDIT in text
    assert "worth seeing" not in EncoderAttention().fallback()


def test_stored_attention_is_a_distribution_for_each_piece():
    widget = EncoderAttention()
    for index, sentence in enumerate(widget.sentences()):
        maps, n = widget.maps(index), len(sentence["pieces"])
        assert maps.shape == (6, 12, n, n)
        assert (sentence["pieces"][0], sentence["pieces"][-1]) == ("[CLS]", "[SEP]")
        close(maps.sum(dim=-1).tolist(), torch.ones(6, 12, n), 0.01)
