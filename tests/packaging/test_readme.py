"""README.md as a package index shows it: rendered, far away from the files beside it."""

import html.parser
import pathlib
import re
import tomllib

import pytest
from docs.pages import anchors

markdown_it = pytest.importorskip("markdown_it")

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
DOCUMENTATION = PROJECT["urls"]["Documentation"]
PAPER = "https://arxiv.org/abs/2603.16367"
README = (ROOT / PROJECT["readme"]).read_text()


class Addresses(html.parser.HTMLParser):
    """Collects what the links and pictures of a page point to."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src")]


def addresses():
    parser = Addresses()
    parser.feed(markdown_it.MarkdownIt("commonmark").enable("table").render(README))
    return parser.found


def file_of(address):
    """Give the file of the checkout that an address of the project shows, and the anchor in it."""
    place, _, anchor = address.partition("#")
    for form in ("blob", "raw"):
        start = f"{REPOSITORY}/{form}/main/"
        if place.startswith(start):
            return ROOT / place.removeprefix(start), anchor
    page = re.fullmatch(rf"{re.escape(DOCUMENTATION)}/([\w/]+)\.html", place)
    return (ROOT / "docs" / f"{page[1]}.md" if page else None), anchor


def test_links_and_pictures_are_absolute_and_lead_into_the_project():
    found = addresses()
    assert len(found) >= 4
    ours = (REPOSITORY, DOCUMENTATION)
    assert [each for each in found if not each.startswith(ours) and each != PAPER] == []


@pytest.mark.parametrize("address", sorted({*addresses()} - {PAPER}))
def test_what_an_address_shows_exists(address):
    path, anchor = file_of(address)
    assert path is not None
    assert path.is_file()
    assert not anchor or anchor in anchors(path)


def test_tables_and_blocks_are_rendered():
    page = markdown_it.MarkdownIt("commonmark").enable("table").render(README)
    assert page.count("<table>") == len(re.findall(r"^\| ---", README, re.MULTILINE)) >= 2
    assert page.count("<img") == 1


def test_index_is_not_named():
    assert "pypi.org" not in README


def test_archive_is_that_of_the_repository():
    archives = re.findall(r"https://\S+\.zip", README)
    assert archives == [f"{REPOSITORY}/archive/refs/heads/main.zip"]


def test_every_extra_for_users_is_listed():
    rows = re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert PROJECT["optional-dependencies"].keys() - {"dev", "docs"} <= listed
