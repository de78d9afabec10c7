import doctest
import importlib
import inspect
import re

import keras
import numpy as np
import pytest
from docs.pages import API, ROOT

import keras_dynamicgate

pytestmark = pytest.mark.one_backend("torch")

DOCUMENTED = API.findall((ROOT / "docs" / "api.md").read_text())
MODULES = [
    name for name in keras_dynamicgate.__all__ if inspect.ismodule(getattr(keras_dynamicgate, name))
]
# Those that read files which the package does not hold.
FROM_FILES = {
    f"keras_dynamicgate.datasets.{folder.replace('-', '_')}": folder
    for folder in ("cifar10", "mnist", "pbmc3k", "speech_commands", "tiny-imagenet")
}


class Checker(doctest.OutputChecker):
    """Compares output only where a docstring shows some: progress bars need not be written down."""

    def check_output(self, want, got, optionflags):
        return not want or super().check_output(want, got, optionflags)


def find(name):
    """Give the object of a dotted name."""
    path = name.split(".")
    for length in range(len(path) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(path[:length]))
        except ModuleNotFoundError:
            continue
        for part in path[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{name} cannot be imported")


def run_examples(name):
    """Run the examples of an object and of its methods; say which failed."""
    # What api.md says that they take for granted.
    globs = {"keras": keras, "keras_dynamicgate": keras_dynamicgate, "np": np}
    found = find(name)
    report = []
    tests = doctest.DocTestFinder().find(found, name, inspect.getmodule(found), globs)
    runner = doctest.DocTestRunner(Checker(), verbose=False)
    for test in tests:
        runner.run(test, out=report.append)
    return sum(len(test.examples) for test in tests), "".join(report)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Run examples where they may write files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("sys.argv", ["example.py"])


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if name not in FROM_FILES])
def test_examples_of_a_docstring_run(name):
    count, report = run_examples(name)
    assert count > 0, f"the docstring of {name} has no examples that start with >>>"
    assert not report, report


def link_few_clips(folder, to):
    """Make a folder with few clips of two words, whose features take no time."""
    for word in ("bed", "cat"):
        (to / word).mkdir(parents=True)
        for clip in sorted((folder / word).iterdir())[:12]:
            (to / word / clip.name).symlink_to(clip)


@pytest.mark.parametrize("name", FROM_FILES)
def test_examples_of_a_loader_run_on_the_originals(name, tmp_path, data_dir):
    (tmp_path / "data").mkdir()
    folder = data_dir / FROM_FILES[name]
    if name.endswith("speech_commands"):
        link_few_clips(folder, tmp_path / "data" / folder.name)
    else:
        (tmp_path / "data" / folder.name).symlink_to(folder)
    count, report = run_examples(name)
    assert count > 0
    assert not report, report


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstring_shows_only_examples_that_run(name):
    text = inspect.getdoc(find(name))
    assert re.search(r"^Examples:$", text, re.MULTILINE)
    assert "```" not in text
    assert "+SKIP" not in text


def test_reference_names_all_that_is_public():
    public = {
        f"keras_dynamicgate.{name}" for name in keras_dynamicgate.__all__ if name not in MODULES
    }
    for name in MODULES:
        module = importlib.import_module(f"keras_dynamicgate.{name}")
        public |= {f"keras_dynamicgate.{name}.{member}" for member in module.__all__}
    values = {name for name in public if isinstance(find(name), (dict, tuple))}
    assert sorted(public - values - set(DOCUMENTED)) == []
