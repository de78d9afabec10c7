"""README's first block, where only that is installed which README's install line brings."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import keras
import pytest
from docs.pages import ROOT, blocks
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BACKEND = keras.backend.backend()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALL, BLOCK, OUTPUT = blocks(ROOT / "README.md")[:3]

WITHOUT = """
import importlib.machinery
import sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in {hidden!r}:
            return importlib.machinery.PathFinder.find_spec(name, path, target)

found = importlib.machinery.PathFinder
sys.meta_path[:] = [Finder if each is found else each for each in sys.meta_path]
"""


def installed_by(line):
    """Give the names of all distributions that a pip command for this project brings along."""
    name, extras = re.search(r'"([\w-]+)\[([\w,]+)\]"', line).groups()
    assert name == PROJECT["name"]
    requirements = list(PROJECT["dependencies"])
    for extra in extras.split(","):
        extra = BACKEND if extra == "tensorflow" else extra
        requirements += PROJECT["optional-dependencies"][extra]
    names, left = set(), [(Requirement(each), ("",)) for each in requirements]
    while left:
        requirement, extras = left.pop()
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras
        )
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if wanted and key not in names:
            names.add(key)
            inside = ("", *requirement.extras)
            try:
                needed = metadata.requires(requirement.name) or []
            except metadata.PackageNotFoundError:
                pytest.skip(f"{requirement.name}, which the install line brings, is not installed")
            left += [(Requirement(each), inside) for each in needed]
    return {name for name, _ in names}


def hidden_by(line):
    """Give the modules that are installed here and would not be where the line alone was run."""
    brought = installed_by(line)
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if brought.isdisjoint(map(canonicalize_name, distributions))
        and module != "keras_dynamicgate"
    }


def words(text):
    return re.findall(r"[a-zA-Z_]+", text)


@pytest.fixture(scope="module")
def finished():
    """Run the block for one epoch."""
    program = BLOCK.text.replace('"] = "tensorflow"', f'"] = "{BACKEND}"')
    program, replaced = re.subn(r"epochs=\d+", "epochs=1", program)
    assert replaced == 1
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-"],
        input=WITHOUT.format(hidden=hidden_by(INSTALL.text)) + program,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )


def test_first_block_needs_what_the_install_line_brings_and_nothing_else(finished):
    assert finished.returncode == 0, finished.stderr[-4000:]


def test_output_under_the_first_block_is_what_it_prints(finished):
    assert OUTPUT.language == "text"
    assert words(finished.stdout) == words(OUTPUT.text)
