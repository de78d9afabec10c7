"""Keep a number in a table on one line with its deviation, its unit and its star."""

import re

NUMBER = re.compile(r"(?<=>)[+-]?[\d.]+ [±%*][^<a-z/]*(?=</td>)")


def on_page_content(html, **_):
    """Put no-break spaces into the cells that hold such numbers and nothing else."""
    return NUMBER.sub(lambda cell: cell[0].replace(" ", "\N{NO-BREAK SPACE}"), html)
