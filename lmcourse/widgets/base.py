"""What every widget of the course shares: one module of JavaScript, three places to live.

A widget is a pair `NAME.py` (its traits: what it shows and what the reader set) and `NAME.js` (an
ES module that draws it from the traits alone). In JupyterLab anywidget shows it. Its output also
holds a *snapshot*: the traits as JSON and a fallback for readers without JavaScript. In the
published page `host.js` mounts the same module on the snapshot, with no server and no kernel.
"""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import ipywidgets
import traitlets

from lmcourse import exercises, pretrained
from lmcourse.exercises import progress

FOLDER = Path(__file__).parent
_IMPORT = re.compile(r'^import\s+\{[^}]*\}\s+from\s+"\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(
    r"^export\s+(?=(?:async\s+)?(?:function|const|let|class)\b)", re.MULTILINE
)
_COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*\*(?:[^*]|\*(?!/))*\*/)\n", re.MULTILINE)
_EVERY_WIDGET_HAS = frozenset(ipywidgets.DOMWidget.class_trait_names())


def read(name: str) -> str:
    """Text of a file of this package."""
    return (FOLDER / name).read_text(encoding="utf-8")


def bundle(name: str) -> str:
    r"""A widget's module with everything it imports from its neighbours written into it.

    anywidget and `host.js` load one text, so `import { h } from "./common.js";` is replaced by the
    text of `common.js` without its `export` words. A file imported twice is written once. Comments
    that have lines of their own stay behind: they are for readers of the source.

    Args:
        name: The file name of the module, such as "markov_explorer.js".

    Returns:
        An ES module without imports.

    >>> 'import {' in bundle("quiz_card.js")
    False
    """
    done: set[str] = set()

    def inline(match: re.Match[str]) -> str:
        part = match.group(1)
        if part in done:
            return ""
        done.add(part)
        return _EXPORT.sub("", _IMPORT.sub(inline, read(part))) + "\n"

    return _COMMENT.sub("", _IMPORT.sub(inline, read(name)))


def widget_names() -> list[str]:
    """Names of the widgets: every `NAME.py` with a `NAME.js` beside it.

    >>> "markov_explorer" in widget_names()
    True
    """
    return sorted(
        path.stem for path in FOLDER.glob("*.js") if path.with_suffix(".py").exists()
    )


def site_scripts() -> dict[str, str]:
    """The files the published book needs, as file name and text.

    All lie in one folder of the site. A page loads `host.js` alone, as a classic deferred script;
    it finds the others beside itself when a widget is on the page. Each widget's file registers
    the text of its module, because browsers refuse to import module files from disk.

    >>> "host.js" in site_scripts()
    True
    """
    scripts = {"host.js": read("host.js"), "widgets.css": read("widgets.css")}
    for name in widget_names():
        scripts[f"{name}.js"] = (
            f"lmcourse.register({json.dumps(name)}, {json.dumps(bundle(name + '.js'))});\n"
        )
    return scripts


def weights_scripts() -> dict[str, str]:
    """The trained weights for the published book, as file name and text: one file a model.

    They lie beside `host.js`. A page loads one when a widget first asks for it. Browsers refuse to
    fetch files from disk, so each is a classic script that registers its bytes.

    >>> sorted(weights_scripts()) == [f"{name}.weights.js" for name in pretrained.names()]
    True
    """
    scripts = {}
    for name in pretrained.names():
        content = base64.b64encode(pretrained.path(name).read_bytes()).decode("ascii")
        arguments = json.dumps([name, pretrained.sha256(name), content])[1:-1]
        scripts[f"{name}.weights.js"] = f"lmcourse.registerWeights({arguments});\n"
    return scripts


def to_json(state: Any) -> str:
    """JSON with sorted keys that may stand inside a `<script>` element.

    Raises:
        ValueError: A number is NaN or infinite, which JSON does not have.

    >>> to_json({"b": "</script>", "a": 1})
    '{"a":1,"b":"\\\\u003c/script>"}'
    """
    text = json.dumps(
        state,
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    )
    return text.replace("<", "\\u003c")


def escape(text: object) -> str:
    """Text made safe to stand in HTML, also in an attribute.

    >>> escape('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return html.escape(str(text))


def table(caption: str, header: list[str], rows: list[list[object]]) -> str:
    """An HTML table for fallbacks: every cell is escaped, the first cell of a row heads it.

    >>> table("t", ["a", "b"], [["x", 1]]).count("<td>")
    1
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


class CourseWidget(anywidget.AnyWidget):
    """Base of the course's widgets.

    A subclass in `NAME.py` sets `name = "NAME"`, declares its traits with `.tag(sync=True)` and
    writes `fallback()`. A trait tagged `snapshot=False` is synchronised with a live view but never
    stored, so outputs do not depend on it.
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if cls.__dict__.get("name"):
            cls._esm = bundle(f"{cls.name}.js")
            cls._css = read("widgets.css")
        super().__init_subclass__(**kwargs)

    def state(self) -> dict[str, Any]:
        """The traits a snapshot stores: what the widget shows, nothing about this machine."""
        return {
            key: getattr(self, key)
            for key, trait in sorted(self.traits(sync=True).items())
            if not key.startswith("_")
            and key not in _EVERY_WIDGET_HAS
            and trait.metadata.get("snapshot", True)
        }

    def fallback(self) -> str:
        """HTML for GitHub, for print and for readers without JavaScript."""
        raise NotImplementedError

    def snapshot(self) -> str:
        """HTML that holds the state and the fallback; `host.js` brings it to life in a page.

        The same traits always give the same text.
        """
        return (
            f'<div class="lmcourse-widget" data-widget="{self.name}">'
            f'<script type="application/json">{to_json(self.state())}</script>'
            f'<div class="lmcourse-fallback">{self.fallback()}</div></div>'
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return {
            **data,
            "text/plain": repr(self),
            "text/html": self.snapshot(),
        }, metadata


class ModelWidget(CourseWidget):
    """A widget that runs a trained model in the page, with the weights `pretrained` names.

    A subclass sets `pretrained = "NAME"`. The snapshot holds the name and the SHA-256 of the
    weights, not their bytes: the published page loads them from the site. A live view gets the
    bytes from the kernel. In JavaScript, `loadWeights(model)` of `forward.js` knows both ways.

    Raises:
        ValueError: There are no weights of this name.
    """

    pretrained: ClassVar[str] = ""

    weights_name = traitlets.Unicode(help="The name of the weights.").tag(sync=True)
    weights_sha256 = traitlets.Unicode(help="The SHA-256 of their file.").tag(sync=True)
    weights = traitlets.Bytes(help="The file, for a live view.").tag(
        sync=True, snapshot=False
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            weights_name=self.pretrained,
            weights_sha256=pretrained.sha256(self.pretrained),
            weights=pretrained.path(self.pretrained).read_bytes(),
            **kwargs,
        )


class ModelsWidget(ModelWidget):
    """A model widget that runs further models beside its own.

    A subclass sets `other_pretrained`, too. In JavaScript, `loadWeights(model, name)` loads one.

    Raises:
        ValueError: There are no weights of one of the names.
    """

    other_pretrained: ClassVar[tuple[str, ...]] = ()

    other_sha256 = traitlets.Dict(help="Name -> SHA-256 of the file.").tag(sync=True)
    other_weights = traitlets.Dict(help="Name -> the file, for a live view.").tag(
        sync=True, snapshot=False
    )

    def __init__(self, **kwargs: Any) -> None:
        names = self.other_pretrained
        super().__init__(
            other_sha256={name: pretrained.sha256(name) for name in names},
            other_weights={name: pretrained.path(name).read_bytes() for name in names},
            **kwargs,
        )


class Card(CourseWidget):
    """A widget about one exercise. Whether it is done is kept: by the browser in the published
    book, in `lmcourse.exercises.progress`'s file beside the notebook in Jupyter.

    `done` is not part of the snapshot: stored outputs are the same for every reader.

    Args:
        exercise: A declared exercise, its name ("markov.zero_count"), or its `to_dict()`.

    Raises:
        ValueError: No exercise has this name, or it is of a kind that this card does not show.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    exercise = traitlets.Dict(help="The exercise as `to_dict()` gives it.").tag(
        sync=True
    )
    done = traitlets.Bool(False, help="Solved.").tag(sync=True, snapshot=False)

    def __init__(self, exercise: Any, **kwargs: Any) -> None:
        if isinstance(exercise, str):
            exercise = exercises.get(exercise)
        data = exercise if isinstance(exercise, dict) else exercise.to_dict()
        if data["kind"] not in self.kinds:
            raise ValueError(
                f"{data['name']!r} is of kind {data['kind']!r}; "
                f"{type(self).__name__} shows {', '.join(self.kinds)}"
            )
        super().__init__(exercise=data, **kwargs)
        self.done = progress.read().get(data["name"]) is True
        self.observe(self._keep, names="done")

    def _keep(self, change: Any) -> None:
        if progress.in_jupyter():
            progress.write({**progress.read(), self.exercise["name"]: change["new"]})

    def heading(self) -> str:
        """The first lines of a card's fallback."""
        data = self.exercise
        facts = f"{data['minutes']} min · difficulty {data['difficulty']} of 5"
        text = data.get("question", data.get("statement"))
        return f"<p><strong>{escape(data['title'])}</strong> ({facts})</p><p>{escape(text)}</p>"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.exercise['name']!r})"
