import importlib.util
import math
import sys

import rich
from rich.console import Console

from keras_dynamicgate.experiments import progress
from keras_dynamicgate.experiments.store import Run


def test_notebook_that_cannot_move_bars_gets_lines_and_no_warning(monkeypatch, capsys):
    monkeypatch.setattr(rich, "get_console", lambda: Console(force_jupyter=True))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)  # as the kernels of notebooks say
    with progress.progress_of(missing=1, finished=0, epochs=1) as shown:
        shown.bars.console.print("a line")
        shown.advance()
    printed = capsys.readouterr().out
    assert printed.startswith("a line\n")
    assert printed.endswith("\n")
    assert not set("\r\x1b") & set(printed)


def test_run_without_a_count_of_its_cost_shows_none(monkeypatch, capsys):
    monkeypatch.setattr(rich, "get_console", Console)
    result = {"accuracy": 0.5, "relative_macs": math.nan, "seconds": 2.0}
    with progress.progress_of(missing=1, finished=0, epochs=1) as shown:
        shown.finish(Run("dense", None, 0), result)
    line, *_ = capsys.readouterr().out.splitlines()
    assert line.split() == ["dense-0", "accuracy", "50.00%", "2", "s"]
