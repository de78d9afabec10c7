import re

import numpy as np
import pytest

from keras_dynamicgate.experiments.store import Run, RunStore

TEACHER = Run("dropout", None, 3)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path, {})


def test_result_that_is_half_written_does_not_count(store):
    (store.runs / "narrow-0.5-0.json.7.partial").write_text("{")
    assert Run("narrow", 0.5, 0) not in store
    assert store.results() == []


def test_logits_of_a_teacher_come_back(store):
    store.add_teacher(TEACHER, {"train": np.ones((2, 3)), "validation": np.zeros((0, 3))})
    logits = store.teacher(TEACHER)
    np.testing.assert_array_equal(logits["train"], np.ones((2, 3)))
    assert logits["validation"].shape == (0, 3)


@pytest.mark.parametrize("content", [b"", b'{"model": "narr', b"[1]", b"\xff"])
def test_damaged_result_is_named_with_what_to_do(content, store):
    store.add(Run("narrow", 0.5, 0), {})
    path = store.runs / "narrow-0.5-1.json"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"{re.escape(repr(str(path)))} is damaged. Delete it and run"
    ):
        store.results()


@pytest.mark.parametrize("content", ["nothing", "half", "text"])
def test_damaged_logits_are_named_with_what_to_do(content, store):
    store.add_teacher(TEACHER, {"train": np.ones((2, 3)), "validation": np.ones((2, 3))})
    path = store.teacher_path(TEACHER)
    whole = path.read_bytes()
    path.write_bytes({"nothing": b"", "half": whole[: len(whole) // 2], "text": b"text"}[content])
    with pytest.raises(
        ValueError, match=f"{re.escape(repr(str(path)))} is damaged. Delete it and run"
    ):
        store.teacher(TEACHER)


def test_damaged_conditions_are_named_with_what_to_do(store):
    (store.folder / "conditions.json").write_text("{")
    with pytest.raises(ValueError, match=r"conditions.json' is damaged. Choose another `out` or"):
        RunStore(store.folder, {})
