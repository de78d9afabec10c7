import json

import pytest

from keras_dynamicgate.cli import main

pytestmark = pytest.mark.one_backend("torch")


@pytest.mark.filterwarnings("ignore:The training ended:UserWarning")
@pytest.mark.filterwarnings("ignore:The gates of layer:UserWarning")
def test_drift_prints_the_results_of_its_runs(tmp_path, capsys):
    pytest.importorskip("sklearn")
    options = ["--quick", "--kind", "labels", "--modes", "none,both", "--out", str(tmp_path)]
    assert main(["drift", "digits", *options, "--json"]) == 0
    output = capsys.readouterr().out
    runs = json.loads(output[output.index("[\n") :])
    assert [run["model"] for run in runs] == ["both", "none"]
    assert all(run["changed"] == 0 for run in runs)


def test_what_is_wrong_comes_without_a_traceback(tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert main(["drift", "digits", "--modes", "every", *out]) == 2
    assert "`modes` must hold names among none" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["drift", "digits", "--kind", "rain", *out])
    assert "invalid choice: 'rain'" in capsys.readouterr().err
