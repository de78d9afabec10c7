import importlib.util
import pathlib

import pytest

pytest.importorskip("mkdocs")

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "notebooks"


def site_pages():
    spec = importlib.util.spec_from_file_location("site_pages", FOLDER / "site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code(source, *outputs):
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def test_page_shows_text_code_and_outputs_in_order():
    printed = {"output_type": "stream", "name": "stdout", "text": ["2\n", "3\n"]}
    table = {"output_type": "display_data", "data": {"text/markdown": "| a |\n| --- |"}}
    drawn = {"output_type": "display_data", "data": {"image/png": "AQID"}}
    text = {"cell_type": "markdown", "source": ["[![Try](x.svg)](y)\n", "\n", "Words."]}
    book = {"cells": [text, code("print(2)\nprint(3)", printed), code("show()", table, drawn)]}
    page, pictures = site_pages().page(book, "example")
    assert page == (
        "[Try](y)\n\nWords.\n\n"
        "```python\nprint(2)\nprint(3)\n```\n\n"
        "```text\n2\n3\n```\n\n"
        "```python\nshow()\n```\n\n"
        "| a |\n| --- |\n\n"
        "![Output of the cell above](example-1.png)\n"
    )
    assert pictures == {"example-1.png": b"\x01\x02\x03"}


def test_every_notebook_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    for path in FOLDER.glob("*.ipynb"):
        assert f" notebooks/{path.stem}.md\n" in navigation
