"""When the compiled kernels are compiled again."""

from pathlib import Path

import pytest

from keras_dynamicgate.engine.compiled import sources

pytestmark = pytest.mark.one_backend("torch")

COMPILED = Path(sources.__file__).parent


@pytest.mark.parametrize("name", sorted(file.name for file in COMPILED.glob("*.py")))
def test_kernels_are_compiled_again_when_any_source_changes(name, tmp_path, monkeypatch):
    for file in COMPILED.glob("*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(sources, "__file__", str(tmp_path / "sources.py"))
    digest = sources.digest.__wrapped__
    before = digest()
    (tmp_path / name).write_text("changed")
    assert digest() != before
