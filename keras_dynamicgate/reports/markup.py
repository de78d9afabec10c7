"""Writing HTML without forgetting to escape: text becomes markup only through `element`."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

VOID = ("meta", "img", "line", "rect", "circle", "polyline", "polygon", "path")

# What HTML forbids or cannot be encoded, and what reverses the direction of the text after it.
UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Markup(str):
    """Text that is HTML already. Everything else is escaped where it enters a page."""


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """Write an element.

    Args:
        tag: The name of the tag.
        *children: `Markup`, other values, which are escaped, or `None`, which is left out.
        **attributes: Values are escaped. An underscore in a name becomes a hyphen, one at its end
            is dropped; `None` leaves the attribute out.

    Returns:
        `Markup`.

    Examples:
        >>> element("td", "<b>", class_="number")
        '<td class="number">&lt;b&gt;</td>'
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escape_text(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Markup(f"<{tag}{given}>" if tag in ("meta", "img") else f"<{tag}{given}/>")
    return Markup(f"<{tag}{given}>{join(*children)}</{tag}>")


def join(*children: Any) -> Markup:
    """Join markup and text, which is escaped."""
    return Markup("".join(_escape(child) for child in children if child is not None))


def _escape(child: Any) -> str:
    return child if isinstance(child, Markup) else _escape_text(child)


def _escape_text(value: Any) -> str:
    """Escape what has a meaning in HTML, and show characters that cannot be seen by their codes."""
    text = UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), str(value))
    return html.escape(text)


def section(identifier: str, title: str, *children: Any) -> Markup:
    """Write a section of the page with its heading."""
    heading = element("h2", title, id=f"{identifier}-title")
    return element(
        "section", heading, *children, id=identifier, aria_labelledby=f"{identifier}-title"
    )


def table(
    caption: str,
    heads: Iterable[Any],
    rows: Iterable[Sequence[Any]],
    foot: Sequence[Any] | None = None,
) -> Markup:
    """Write a table in a box of its own, which scrolls if it is wide, also by keyboard.

    Args:
        caption: What the table shows.
        heads: The headings of the columns.
        rows: Rows of cells; the first cell of each is its heading. A cell is `Markup` of a `td`, or
            text or a number as text.
        foot: A row below a line, or `None`.
    """
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = element("tbody", *map(_row, rows))
    end = None if foot is None else element("tfoot", _row(foot))
    content = element("table", element("caption", caption), element("thead", head), body, end)
    return element("div", content, class_="box", role="region", aria_label=caption, tabindex=0)


def _row(cells: Sequence[Any]) -> Markup:
    first, *others = cells
    head = element("th", first, scope="row")
    return element("tr", head, *map(_cell, others))


def _cell(cell: Any) -> Markup:
    return cell if isinstance(cell, Markup) else element("td", cell)


def heat(share: float | None, mark: str = "") -> Markup:
    """Write a cell with a share as text on a colour that shows it.

    Args:
        share: A number, coloured like 1 if it is above, or `None` for an empty cell.
        mark: Text after the number, such as a footnote mark. Defaults to `""`.
    """
    if share is None:
        return element("td", "–")
    color = f"--share:{min(share, 1.0):.3f}"
    return element("td", f"{share:.3f}{mark}", class_="heat", style=color)
