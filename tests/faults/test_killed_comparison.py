"""`keras-dynamicgate compare` that is killed, and that runs twice at once in one folder.

What it writes does not depend on the backend, so one is enough: PyTorch, which starts the quickest.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest
from faults import tiny_comparison

pytestmark = pytest.mark.one_backend("torch")


def start(folder):
    tests = pathlib.Path(__file__).parents[1]
    paths = os.pathsep.join(map(str, (tests.parent, tests)))
    return subprocess.Popen(
        [sys.executable, tiny_comparison.__file__, folder],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_a_run(process, folder):
    while not finished_runs(folder):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)


def finished_runs(folder):
    return len(list(folder.glob("runs/[!.]*.json")))


def results(folder):
    """Give all results but what the clock said, and check that no file is a fragment."""
    for path in folder.rglob("[!.]*.json"):
        json.loads(path.read_text())
    runs = json.loads((folder / "results.json").read_text())["runs"]
    return [{key: value for key, value in run.items() if key != "seconds"} for run in runs]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a comparison that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert tiny_comparison.compare(folder) == 0
    assert len(results(folder)) == tiny_comparison.RUNS
    return folder


def test_comparison_that_is_killed_ends_as_if_it_had_not_been(whole, tmp_path):
    process = start(tmp_path)
    wait_for_a_run(process, tmp_path)
    process.kill()
    process.communicate()
    # As if it had been killed while it wrote.
    (tmp_path / "runs" / ".linear-5.json.0.part").write_text("{")
    assert finished_runs(tmp_path) < tiny_comparison.RUNS
    assert tiny_comparison.compare(tmp_path) == 0
    assert results(tmp_path) == results(whole)


def test_two_comparisons_at_once_in_one_folder_lose_nothing(whole, tmp_path):
    other = start(tmp_path)
    wait_for_a_run(other, tmp_path)
    assert tiny_comparison.compare(tmp_path) == 0
    _, error = other.communicate()
    assert other.returncode == 0, error
    assert results(tmp_path) == results(whole)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in whole.iterdir()}
