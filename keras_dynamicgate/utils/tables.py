"""Tables and notes as text, the same in a terminal, a notebook and a log file."""

import io
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

WIDTH = 100


def make_table(
    title: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str] | None],
    *,
    texts: Sequence[str] = ("layer",),
    totals: Sequence[str] | None = None,
) -> Table:
    """Lay out rows of text as a table for the terminal.

    Args:
        title: The line above the table.
        heads: The head of each column.
        rows: The cells of each row; `None` for a line between rows.
        texts: Heads of the columns of text, which stand on the left. Numbers stand on the right.
            Defaults to `("layer",)`.
        totals: The cells of a last row under a line. Defaults to `None`, no such row.

    Returns:
        A `rich.table.Table`.
    """
    table = Table(title=title, title_justify="left", show_footer=totals is not None)
    for head, total in zip(heads, totals or [""] * len(heads), strict=True):
        table.add_column(head, total, justify="left" if head in texts else "right", overflow="fold")
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*row)
    return table


def as_text(tables: Iterable[Table], notes: Iterable[str]) -> str:
    """Give tables and the sentences under them as text of at most 100 columns.

    Args:
        tables: Tables as `make_table` lays them out.
        notes: Sentences.

    Returns:
        The text, without colours and without a line break at the end.
    """
    text = io.StringIO()
    # Rich would read square brackets as markup, and write HTML in a notebook.
    console = Console(
        file=text,
        width=WIDTH,
        color_system=None,
        markup=False,
        highlight=False,
        force_jupyter=False,
    )
    for part in (*tables, *notes):
        console.print(part)
    return text.getvalue().rstrip()
