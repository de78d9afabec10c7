"""The room of the compiled kernels: who imports Numba, and when kernels are compiled again."""

import ast
from pathlib import Path

import pytest

import keras_dynamicgate
from keras_dynamicgate.engine.compiled import sources

PACKAGE = Path(keras_dynamicgate.__file__).parent
COMPILED = PACKAGE / "engine" / "compiled"


def imported(file):
    """Give the names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_numba_and_llvmlite_are_imported_by_the_compiled_kernels_alone():
    users = {
        file.parent
        for file in PACKAGE.rglob("*.py")
        if {"numba", "llvmlite"} & {name.split(".")[0] for name in imported(file)}
    }
    assert users == {COMPILED}


@pytest.mark.parametrize("name", sorted(file.name for file in COMPILED.glob("*.py")))
def test_kernels_are_compiled_again_when_any_source_changes(name, tmp_path, monkeypatch):
    for file in COMPILED.glob("*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(sources, "__file__", str(tmp_path / "sources.py"))
    digest = sources.digest.__wrapped__
    before = digest()
    (tmp_path / name).write_text("changed")
    assert digest() != before
