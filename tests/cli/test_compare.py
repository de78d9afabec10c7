import json

import pytest

from keras_dynamicgate.cli import main

pytestmark = pytest.mark.one_backend("torch")


def test_comparison_prints_the_results_of_its_runs(tmp_path, capsys):
    pytest.importorskip("sklearn")
    options = ["--quick", "--models", "linear", "--out", str(tmp_path), "--json"]
    assert main(["compare", "digits", *options]) == 0
    output = capsys.readouterr().out
    (run,) = json.loads(output[output.index("[\n") :])
    assert run["model"] == "linear"
    assert run["accuracy"] > 0.8


def test_budget_that_pruning_cannot_reach_is_refused_at_once(tmp_path, capsys):
    pytest.importorskip("sklearn")
    # The head has 256 x 10 of 64 x 256 + 256 x 10 multiply-accumulates.
    assert main(["compare", "digits", "--models", "pruned", "--out", str(tmp_path / "out")]) == 2
    assert "must hold budgets above 0.1351 for 'pruned'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_comes_without_a_traceback(tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert main(["compare", "mnist", "--data-dir", str(tmp_path), *out]) == 2
    assert "train-images-idx3-ubyte" in capsys.readouterr().err
    assert main(["compare", "digits", "--models", "dens", *out]) == 2
    assert "`models` must hold names among linear" in capsys.readouterr().err
    assert main(["compare", "digits", "--targets", "30", *out]) == 2
    assert "`targets` must hold floats" in capsys.readouterr().err
    assert main(["compare", "digits", "--seeds", "5000000000,", *out]) == 2
    assert "`seeds` must be a positive integer" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["compare", "digits", "--seeds", "0", *out])
    assert "argument --seeds: must be a positive integer" in capsys.readouterr().err
