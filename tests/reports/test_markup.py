import pytest

from keras_dynamicgate.reports.markup import element, heat, join, table


def test_text_and_attributes_are_escaped_and_markup_is_not():
    inner = element("b", "<i>", title='"&')
    assert inner == '<b title="&quot;&amp;">&lt;i&gt;</b>'
    assert element("p", inner, None) == f"<p>{inner}</p>"
    assert join("<", inner) == f"&lt;{inner}"


@pytest.mark.parametrize(
    ("character", "shown"),
    [("\0", r"\x00"), ("\x85", r"\x85"), ("\u202e", r"\u202e"), ("\ud800", r"\ud800")],
)
def test_characters_that_cannot_be_seen_are_shown_by_their_codes(character, shown):
    text = element("b", f"a{character}<", title=character)
    assert text == f'<b title="{shown}">a{shown}&lt;</b>'


def test_line_breaks_and_other_scripts_stay_as_they_are():
    assert join("a\tb\nכלב") == "a\tb\nכלב"


def test_shares_are_text_on_a_colour():
    assert heat(0.25) == '<td class="heat" style="--share:0.250">0.250</td>'
    assert heat(1.5) == '<td class="heat" style="--share:1.000">1.500</td>'
    assert heat(None) == "<td>–</td>"


def test_wide_tables_scroll_in_a_box_that_the_keyboard_reaches():
    text = table("Caption", ["a", "b"], [["x", "1"]])
    assert text.startswith('<div class="box" role="region" aria-label="Caption" tabindex="0">')
    assert '<th scope="col">a</th>' in text
    assert '<th scope="row">x</th><td>1</td>' in text
