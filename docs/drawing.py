"""What the drawn pictures share: their colours, shapes, and the digit and its blocks.

The pictures are SVG without scripts. Their colours follow the system, and inside a page of the site
the palette that the reader chose there (`assets/site.css`).
"""

import numpy as np

LIGHT = "--ink: #33373d; --pale: #d3d5da; --runs: #00796b; --gates: #c75b12"
DARK = "--ink: #dfe1e8; --pale: #4a4e5a; --runs: #4fc3b0; --gates: #ffa45c"
STYLE = f"""
.drawing {{ {LIGHT}; }}
@media (prefers-color-scheme: dark) {{ .drawing {{ {DARK}; }} }}
.drawing text {{ font: 13px system-ui, sans-serif; fill: var(--ink); }}
.drawing .title {{ font-weight: 600; }}
.drawing .ink {{ fill: var(--ink); }}
.drawing .pale {{ fill: var(--pale); }}
.drawing .runs {{ fill: var(--runs); }}
.drawing .gates {{ fill: var(--gates); }}
"""


def box(x, y, width, height, kind, opacity=1.0):
    """Draw a rectangle in the colour of a kind: `ink`, `pale`, `runs` or `gates`."""
    shade = "" if opacity >= 1 else f' fill-opacity="{opacity:.2f}"'
    sides = f'x="{x:.4g}" y="{y:.4g}" width="{width:.4g}" height="{height:.4g}"'
    return f'<rect {sides} class="{kind}"{shade}/>'


def text(x, y, words, kind="", anchor="start"):
    """Write a line of text."""
    kind = f' class="{kind}"' if kind else ""
    anchor = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.4g}" y="{y:.4g}"{anchor}{kind}>{words}</text>'


def pixels(image, x, y, side, mask=None):
    """Draw the pixels of an image; one that static gates close is a dot."""
    marks = []
    for row, column in np.ndindex(image.shape):
        left, top = x + side * column, y + side * row
        if mask is None or mask[row, column]:
            kind, value = ("ink" if mask is None else "runs"), 0.07 + 0.93 * image[row, column]
            marks.append(box(left, top, side - 1, side - 1, kind, value))
        else:
            dot = side / 4
            marks.append(box(left + 1.5 * dot, top + 1.5 * dot, dot, dot, "pale"))
    return marks


def svg(width, height, title, style, marks):
    """Put a picture together."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'class="drawing">',
            f"<title>{title}</title>",
            f"<style>{style}</style>",
            *marks,
            "</svg>\n",
        ]
    )
