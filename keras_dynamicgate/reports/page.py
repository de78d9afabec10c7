"""The page around the sections: head, heading, links and a glossary."""

import importlib.resources
from collections.abc import Iterable

from keras_dynamicgate.reports.markup import Markup, element, join

# The page loads nothing. Should a text get around the escaping, the browser still refuses it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

WORDS = {
    "gate": "Decides for a block of neighbouring units whether they run; a static gate decides the "
    "same for all inputs.",
    "MACs": "Multiply-accumulates of matrix products and convolutions, for one sample.",
    "dense MACs": "With every gate open, without the gate networks.",
    "expected MACs": "Weighted by gate probabilities.",
    "executed MACs": "Of the units that are open: what really runs.",
    "gate MACs": "What the gate networks cost themselves.",
    "relative MACs": "(executed + gate MACs) / dense MACs.",
    "usage": "The mean gate probability.",
    "open ratio": "The share of the gates that are open.",
}


def page(title: str, lead: Markup, sections: dict[str, Markup]) -> Markup:
    """Write a page.

    Args:
        title: The title and first heading.
        lead: `Markup` below it.
        sections: Dict from the text of the link to a section to its `Markup`, whose `id` is that
            text in lower case.

    Returns:
        The page as text.
    """
    style = importlib.resources.files(__package__).joinpath("style.css").read_text("utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", title),
        element("style", Markup(style)),
    )
    body = element(
        "body",
        element("a", "Skip to the report", href="#report", class_="skip"),
        element("header", element("h1", title), _navigation(sections)),
        element("main", lead, *sections.values(), id="report", tabindex=-1),
        _words(),
    )
    return join(Markup("<!doctype html>\n"), element("html", head, body, lang="en"), "\n")


def _navigation(texts: Iterable[str]) -> Markup:
    entries = (element("li", element("a", text, href=f"#{text.lower()}")) for text in texts)
    return element("nav", element("ul", *entries), aria_label="Sections")


def _words() -> Markup:
    pairs = (join(element("dt", word), element("dd", text)) for word, text in WORDS.items())
    return element(
        "footer",
        element("h2", "What the words mean"),
        element("dl", *pairs, class_="words"),
    )
