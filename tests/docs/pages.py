"""README.md and the pages of the documentation, taken apart into blocks, links and headings."""

import dataclasses
import importlib.util
import pathlib
import re

import keras

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(
    r"^(?:<!-- needs: (?P<needs>[^>]*) -->\n)?"
    r"```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
CODE = re.compile(r"`[^`\n]+`")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)|\b(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
API = re.compile(r"^::: (\S+)$", re.MULTILINE)
BACKENDS = ("tensorflow", "jax", "torch")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: The word behind the fence, or an empty string.
        text: What stands between the fences.
        line: Number of the first line of `text` in the page.
        needs: Names of backends, of which one has to be in use, and of packages that have to be
            installed, from a comment above the fence: `<!-- needs: tensorflow, torch, onnx -->`.
    """

    language: str
    text: str
    line: int
    needs: tuple[str, ...]

    def backends(self):
        """List the backends that the block names."""
        return [name for name in self.needs if name in BACKENDS]

    def can_run(self):
        """Tell whether this session has what the block needs."""
        backends = self.backends()
        packages = [name for name in self.needs if name not in BACKENDS]
        return (not backends or keras.backend.backend() in backends) and all(
            importlib.util.find_spec(package) for package in packages
        )


def name_of(page):
    """Give the path of a page, as a test's name."""
    return str(page.relative_to(ROOT))


def blocks(page):
    """List the fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(
            match["language"],
            match["text"],
            1 + text.count("\n", 0, match.start("text")),
            tuple(re.findall(r"\w+", match["needs"] or "")),
        )
        for match in BLOCK.finditer(text)
    ]


def prose(page):
    """Give a page without code and comments."""
    return COMMENT.sub("", CODE.sub("", BLOCK.sub("", page.read_text())))


def links(page):
    """List what the links and pictures of a page point to."""
    return [one or other for one, other in LINK.findall(prose(page))]


def anchors(page):
    """Give what an `#anchor` may name on a page: headings and documented objects."""
    text = BLOCK.sub("", page.read_text())
    headings = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", title) for title in HEADING.findall(text)]
    slugs = [re.sub(r"[^\w\s-]", "", title).strip().lower() for title in headings]
    return {re.sub(r"[-\s]+", "-", slug) for slug in slugs} | set(API.findall(text))
