"""Contrast of the page's colours, by the formulas of WCAG 2."""

import importlib.resources
import re

import pytest

STYLE = importlib.resources.files("keras_dynamicgate.reports").joinpath("style.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#\w{6});", block))
    for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
)


def luminance(color):
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_marks_stand_out_from_what_is_behind_them(colors):
    # The colours of a heat map lie between `heat` and `surface`.
    for text, behind in (
        ("text", "page"),
        ("text", "surface"),
        ("text", "heat"),
        ("muted", "page"),
        ("muted", "surface"),
        ("link", "page"),
        ("link", "surface"),
    ):
        assert contrast(colors[text], colors[behind]) >= 4.5, (text, behind)
    for number in range(5):
        assert contrast(colors[f"series-{number}"], colors["surface"]) >= 3
