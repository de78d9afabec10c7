import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
TIMEOUT = 300  # seconds: processes that wait for each other for ever are an error
ENGINES = {
    "jax": ["data-parallel", "model-parallel"],
    "tensorflow": ["replica-0", "replica-1"],
    "torch": ["replica-0", "replica-1"],
}


def arrays(path):
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize("backend", ENGINES)
def test_training_on_several_devices_is_that_on_one(backend, tmp_path):
    if keras.backend.backend() != backend:
        pytest.skip(f"runs in the test session of the {backend} backend")
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}",
    }
    finished = subprocess.run(
        [sys.executable, HERE / f"train_{backend}.py", tmp_path],
        capture_output=True,
        text=True,
        env=environment,
        timeout=TIMEOUT,
    )
    assert finished.returncode == 0, finished.stderr
    one = arrays(tmp_path / "one.npz")
    price = one["price of gate 0"]
    assert price[0] == 0.0 != price[-1]
    assert 0.05 < one["open_ratio of gate 1"].mean() < 0.95
    for name in ENGINES[backend]:
        several = arrays(tmp_path / f"{name}.npz")
        assert set(several) == set(one)
        for array in one:
            np.testing.assert_allclose(
                several[array], one[array], rtol=1e-5, atol=1e-5, err_msg=f"{array} of {name}"
            )
