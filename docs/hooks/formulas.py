"""Typeset formulas while the site is built: LaTeX between dollars becomes MathML.

Browsers draw MathML themselves, so that a page loads no script and no font for it.
"""

import html as escapes
import re

from latex2mathml import converter

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.+?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(html, **_):
    """Replace what the extension `arithmatex` has marked."""
    return FORMULA.sub(_typeset, html)


def _typeset(formula):
    tag, bracket, latex = formula.groups()
    display = "block" if bracket == "[" else "inline"
    mathml = converter.convert(escapes.unescape(latex).strip(), display=display)
    return f'<{tag} class="formula">{mathml}</{tag}>'
