import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from faults import killed_training


# So few steps need not end at the budget.
@pytest.mark.filterwarnings("ignore:The training ended at")
def test_training_that_was_killed_ends_bitwise_as_if_it_had_not_been(tmp_path):
    backup = tmp_path / "backup"
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    command = [sys.executable, killed_training.__file__, str(backup)]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed, whole = killed_training.train(backup), killed_training.train()
    for one, other in zip(resumed, whole, strict=True):
        for value, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(value, expected)
