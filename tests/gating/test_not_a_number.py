"""NaN in inputs would count as closed gates: every entry that takes data names it."""

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.benchmarking.benchmark import benchmark
from keras_dynamicgate.cli import main
from keras_dynamicgate.gating.not_a_number import samples_with_nan
from keras_dynamicgate.reports import html_report

X = np.ones((3, 4), "float32")
X[2, 1] = np.nan
UNDECIDED = "`x` must hold numbers .*: sample 2 holds NaN and so makes the probabilities of gate"


def model(gate="linear", first=layers.Identity):
    gated = kdg.DynamicGateDense(4, gate=gate, block_size=4, name="gated")
    return keras.Sequential([keras.Input((4,)), first(), gated, layers.Dense(2)])


def fit(x):
    trained = model()
    trained.compile(keras.optimizers.SGD(0.1), "mse")
    summary = kdg.GateSummary(x, verbose=0)
    trained.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0, callbacks=[summary])


pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer")


@pytest.mark.parametrize(
    "entry",
    [
        lambda x: kdg.count_macs(model(), x),
        lambda x: kdg.count_macs(model(), x, batch_size=2),
        lambda x: benchmark(model(), x, (1,), seconds=0.0),
        lambda x: html_report(model(), x, path="report.html"),
        fit,
    ],
)
def test_nan_that_leaves_a_gate_undecided_is_refused_by_name(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=UNDECIDED):
        entry(X)
    assert list(tmp_path.iterdir()) == []


def test_the_command_names_it_too(tmp_path, capsys):
    model().save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", X)
    files = [str(tmp_path / "model.keras"), "--data", str(tmp_path / "x.npy")]
    assert main(["macs", *files]) == 2
    assert "sample 2 holds NaN" in capsys.readouterr().err


def test_nan_that_static_gates_let_through_is_refused():
    with pytest.raises(ValueError, match="NaN in sample 2, which gets through to the outputs"):
        kdg.count_macs(model("static"), X)


class Filled(layers.Layer):
    def call(self, x):
        return ops.nan_to_num(x)

    def cost(self, inputs):
        return [], inputs


def test_nan_that_the_model_replaces_itself_is_counted():
    assert kdg.count_macs(model(first=Filled), X).samples == 3


def test_nan_in_the_weights_is_told_from_nan_in_the_data():
    network = model()
    network.get_layer("gated").gate.network.kernel.assign(np.full((4, 1), np.nan))
    with pytest.raises(ValueError, match="sample 0 holds no NaN, unlike perhaps the weights"):
        kdg.count_macs(network, np.ones((2, 4)))


def test_samples_are_those_of_all_inputs():
    ids, values = np.array([[1], [2], [3]]), X.astype(ml_dtypes.bfloat16)
    assert samples_with_nan({"ids": ids, "values": values}).tolist() == [False, False, True]
    assert samples_with_nan([np.array([["a"], ["b"]])]).tolist() == [False]
