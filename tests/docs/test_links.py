import pytest
from docs.pages import PAGES, ROOT, anchors, links, name_of


def broken(page):
    """List the links of a page that lead to a file or heading that is not there."""
    for link in links(page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        inside = target.is_relative_to(ROOT if page.parent == ROOT else ROOT / "docs")
        found = target.exists() and inside
        if not found or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_pictures_of_a_page_exist(page):
    assert list(broken(page)) == []


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    names = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]]
    missing = [name for name in names if f" {name}\n" not in navigation + "\n"]
    assert missing == []
