"""Every picture has a text for those who do not see it, and a caption that says something else."""

from __future__ import annotations

from bs4 import BeautifulSoup, Tag

# Pictures without a text or a caption of their own: what they are, and why.
EXCEPTIONS = {
    '[aria-hidden="true"], [aria-hidden="true"] *': "an ornament beside words that say the same",
}


def article(site, page_path: str) -> Tag | None:
    text = (site.folder / page_path).read_text(encoding="utf-8")
    return BeautifulSoup(text, "lxml").select_one("article")


def test_pictures_have_a_text_and_a_caption(page_path, site):
    body, wrong = article(site, page_path), []
    if body is None:
        return  # the page of the search
    ornaments = {id(node) for rule in EXCEPTIONS for node in body.select(rule)}
    for picture in body.select("img, svg"):
        if id(picture) in ornaments:
            continue
        text = (picture.get("alt") or picture.get("aria-label") or "").strip()
        figure = picture.find_parent("figure")
        caption = figure and figure.find("figcaption")
        said = caption.get_text().strip() if caption else ""
        if not text or not said or text.rstrip(".") == said.rstrip("."):
            wrong.append(f"text {text!r}, caption {said!r}: {str(picture)[:120]}")
    assert not wrong


def test_figures_have_a_caption_and_something_to_look_at(page_path, site):
    body = article(site, page_path)
    for figure in body.select("figure") if body else ():
        assert figure.find("figcaption").get_text().strip()
        assert figure.find(["img", "svg", "table"])
