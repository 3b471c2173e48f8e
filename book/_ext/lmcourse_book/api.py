"""The API pages: made from the docstrings, linked with the source and with the chapters.

A page in `book/api/` names modules only; autodoc finds what is in them. The heading of a block of
`show_source` in a chapter (`markov.KneserNey.estimate`) becomes a link to the entry of that object,
and the entry names the sections that show it.
"""

import inspect
import re
import sys

import traitlets
from docutils import nodes
from docutils.utils import unescape
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc import FunctionDocumenter
from sphinx.util.inspect import signature, stringify_signature
from sphinx.util.nodes import make_refnode

from lmcourse.experiments import Experiment

API, CHAPTERS = "book/api/", "notebooks/"
QUALIFIED_NAME = re.compile(r"[a-z]\w*(\.\w+)+")
NAME = re.compile(r"\w+(\.\w+)*")
# Other packages have no pages here, and a look at theirs would need a network.
ELSEWHERE = (
    r"(torch|jaxtyping|numpy|collections\.abc|pathlib|os|types|tqdm|matplotlib)\..*"
)
ELSEWHERE_BY_LAST_NAME = "Tensor|ndarray|Module"  # as jaxtyping and we write them


# ------------------------------------------------------------------------ what autodoc shows


class ExperimentDocumenter(FunctionDocumenter):
    """Documents an experiment as the function of a seed that it is."""

    objtype = "experiment"
    directivetype = "function"
    priority = FunctionDocumenter.priority + 10

    @classmethod
    def can_document_member(cls, member, membername, isattr, parent) -> bool:
        return isinstance(member, Experiment)

    def import_object(self, raiseerror: bool = False) -> bool:
        found = super().import_object(raiseerror)
        self.object = getattr(self.object, "function", self.object)
        return found


def skip_member(app: Sphinx, what, name, member, skip, options) -> bool | None:
    """Leave out what has its description elsewhere.

    That is: the fields of named tuples and the traits of widgets, which the docstring of their
    class describes, and methods that only another package has described.
    """
    if type(member).__name__ == "_tuplegetter" or isinstance(
        member, traitlets.TraitType
    ):
        return True
    if inspect.isfunction(member) and not member.__doc__:
        owner = sys.modules[member.__module__]
        for part in member.__qualname__.split(".")[:-1]:
            owner = getattr(owner, part)
        if inspect.isclass(owner):
            described = [
                base
                for base in owner.__mro__
                if getattr(vars(base).get(name), "__doc__", None)
            ]
            if not (described and described[0].__module__.startswith("lmcourse")):
                return True
    return False if isinstance(member, Experiment) else None


def own_signature(app: Sphinx, what, name, item, options, arguments, result):
    """The signature of a class's own `__init__`, where autodoc found that of a foreign base."""
    if what != "class" or not (arguments or "").startswith("(*args"):
        return None
    if "__init__" not in vars(item):
        return "()", result
    found = signature(item.__init__, bound_method=True)
    return stringify_signature(found, unqualified_typehints=True), result


def source_module(app: Sphinx, module: str, name: str) -> str | None:
    """The module whose source holds a value is that of its name, not of its class.

    None leaves functions and classes to viewcode, which follows them to where they are written.
    """
    item = sys.modules[module]
    for part in name.split("."):
        item = getattr(item, part, None)
    return None if inspect.isroutine(item) or inspect.isclass(item) else module


def code_role(role, rawtext, text, lineno, inliner, options=None, content=()):
    """What single backticks hold in a docstring: code, and a link where it names an object."""
    text = unescape(text)
    literal = nodes.literal(rawtext, text)
    if not NAME.fullmatch(text):
        return [literal], []
    env = inliner.document.settings.env
    reference = addnodes.pending_xref(
        rawtext, literal, refdomain="py", reftype="obj", reftarget=text, may_fail=True
    )
    reference["refdoc"] = env.docname
    for key in ("py:module", "py:class"):
        reference[key] = env.ref_context.get(key)
    return [reference], []


def plain_code(app: Sphinx, env: BuildEnvironment, node, content):
    """Code in a docstring that names no object of the package stays as it is."""
    return content if node.get("may_fail") else None


# ------------------------------------------------------------- between entries and chapters


def prepare(app: Sphinx, doctree: nodes.document) -> None:
    """Give every block of source in a chapter an address; tidy the entries of an API page."""
    page = app.env.docname
    if page.startswith(CHAPTERS):
        for heading in headings(doctree):
            heading["ids"].append(f"source-{heading.astext()}")
    if page.startswith(API):
        for text in doctree.findall(addnodes.desc_sig_literal_string):
            shape = text.astext()[1:-1]
            text.children = [nodes.Text(f'"{shape}"')]
        for name in doctree.findall(nodes.field_name):
            if name.astext() == "Variables":
                name.children = [nodes.Text("Attributes")]


def headings(doctree: nodes.document) -> list[nodes.strong]:
    """The headings that `show_source` has put over its blocks."""
    return [
        node
        for node in doctree.findall(nodes.strong)
        if len(node) == 1
        and isinstance(node[0], nodes.literal)
        and QUALIFIED_NAME.fullmatch(node.astext())
    ]


def connect(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Find which entry each heading belongs to; name the pages whose links are new.

    A heading without an entry of its own, such as that of a private method, belongs to its class.
    """
    objects = env.get_domain("py").objects
    entries, places = {}, {}
    pages = sorted(page for page in env.found_docs if page.startswith((API, CHAPTERS)))
    for chapter in (page for page in pages if page.startswith(CHAPTERS)):
        for heading in headings(env.get_doctree(chapter)):
            shown = heading.astext()
            name = f"lmcourse.{shown}"
            while name.count(".") > 1 and name not in objects:
                name = name.rpartition(".")[0]
            if name not in objects:
                continue
            entries[shown] = (objects[name].docname, objects[name].node_id)
            section = heading
            while not isinstance(section, nodes.section):
                section = section.parent
            at = (chapter, section["ids"][0])
            shown_in = places.setdefault(name, {})
            shown_in.setdefault(at, (section[0].astext(), heading["ids"][0]))
    if getattr(env, "lmcourse_api", None) == (entries, places):
        return []
    env.lmcourse_api = (entries, places)
    return pages


def link(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put the links into a page: from the headings of a chapter, or from the entries."""
    entries, places = app.env.lmcourse_api
    if page.startswith(CHAPTERS):
        for heading in headings(doctree):
            if heading.astext() in entries:
                target, anchor = entries[heading.astext()]
                text = heading[0]
                heading.children = []
                heading += make_refnode(app.builder, page, target, anchor, text)
    if page.startswith(API):
        for entry in doctree.findall(addnodes.desc):
            for name in entry[0]["ids"]:
                if name in places:
                    add_places(app, page, entry[-1], places[name])


def add_places(app: Sphinx, page: str, content: nodes.Element, places: dict) -> None:
    """Name the sections of the chapters that show an object, before its members."""
    line = nodes.paragraph("", "In the chapters: ", classes=["api-places"])
    for (chapter, section), (title, anchor) in places.items():
        number = app.env.toc_secnumbers[chapter].get(f"#{section}", ())
        text = nodes.inline("", " ".join([".".join(map(str, number)), title]).strip())
        if len(line) > 1:
            line += nodes.Text(", ")
        line += make_refnode(app.builder, page, chapter, anchor, text)
    members = [
        i for i, node in enumerate(content) if isinstance(node, addnodes.desc)
    ] or [len(content)]
    content.insert(members[0], line)


def setup(app: Sphinx) -> None:
    for extension in ("autodoc", "napoleon", "viewcode"):
        app.setup_extension(f"sphinx.ext.{extension}")
    config = app.config
    config.autodoc_default_options = {"members": True}
    config.autodoc_member_order = "bysource"
    config.autodoc_preserve_defaults = True  # F.relu, and no address of a function
    config.napoleon_numpy_docstring = False
    config.napoleon_use_ivar = True
    config.napoleon_attr_annotations = False
    config.html_domain_indices = False  # the list of pages is one already
    config.toc_object_entries_show_parents = "hide"
    config.nitpick_ignore_regex = [
        ("py:class", f"{ELSEWHERE}|{ELSEWHERE_BY_LAST_NAME}")
    ]
    config.default_role = "lmcourse-code"
    app.add_role("lmcourse-code", code_role)
    app.add_autodocumenter(ExperimentDocumenter)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-signature", own_signature)
    app.connect("viewcode-follow-imported", source_module)
    app.connect("missing-reference", plain_code)
    app.connect("doctree-read", prepare)
    app.connect("env-updated", connect)
    app.connect("doctree-resolved", link)
