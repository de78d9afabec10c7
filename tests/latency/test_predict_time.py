import json

import keras
import numpy as np
import pytest
from latency.small_tables import open_static, table_of, two_layers

import keras_dynamicgate as kdg
from keras_dynamicgate.latency.deployed_cost import DeployedCost
from keras_dynamicgate.latency.product_times import ProductTimes
from keras_dynamicgate.latency.setup import Setup


def test_static_gates_are_predicted_by_their_masks():
    model = two_layers()
    open_static(model.layers[0], [1, 1, 1, 0])
    open_static(model.layers[1], [1, 1, 0, 0, 0, 0, 0, 0])
    report = kdg.predict_time(model, table_of(model))
    # 4 ms x 3/4 x 1/4, 1 ms x 1/4 and the rest.
    assert {layer.name: layer.milliseconds for layer in report.layers} == {
        "hidden": 0.75,
        "out": 0.25,
    }
    assert report.milliseconds == 0.75 + 0.25 + 1.0
    assert report.full_milliseconds == 6.0
    assert report.relative == pytest.approx(2 / 6)
    assert kdg.predict_time(model, table_of(model), np.ones((3, 4))).milliseconds == 2.0


@pytest.mark.filterwarnings("ignore:The gate network of layer")
def test_input_dependent_gates_are_looked_up_for_each_sample_and_then_averaged():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGateDense(4, gate="linear", block_size=1, name="gated"),
            keras.layers.Dense(2, name="out"),
        ]
    )
    gate = model.layers[0].gate.network
    gate.kernel.assign(np.eye(4))
    gate.scaled_bias.assign(np.zeros(4))
    # Only more than half of the units takes time.
    products = [
        ProductTimes("gated", 0, (1.0,), (0.0, 0.5, 1.0), ((0.0, 0.0, 8.0),)),
        ProductTimes("out", 0, (0.0, 1.0), (1.0,), ((0.0,), (2.0,))),
    ]
    signatures = DeployedCost(model, "engine").signatures
    table = kdg.LatencyTable(products, 1.0, signatures, Setup.here("engine", 1, "numpy"))
    x = np.array([[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0]])
    report = kdg.predict_time(model, table, x)
    # One sample takes all, the other nothing: half of 8 + 2, where half of the units take 1.
    assert report.milliseconds == 1.0 + 5.0
    assert report.samples == 2
    model.layers[0].gate.open_ratio.assign([0.5] * 4)
    assert kdg.predict_time(model, table).milliseconds == 1.0 + 1.0


def test_gates_that_compact_leaves_save_no_time_there():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGateDense(8, gate="static", block_size=1),
            kdg.DynamicGateDense(8, gate="linear", block_size=4, name="depends"),
            keras.layers.Dense(2),
        ]
    )
    for runtime, gates in (("compact", 1), ("engine", 2)):
        deployed = DeployedCost(model, runtime)
        assert len(deployed.gates) == gates
        assert ("depends" in deployed.gates) == (runtime == "engine")


def test_layers_that_compact_leaves_whole_save_no_time_there():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGateDense(8, gate="static", block_size=1, name="hidden"),
            keras.layers.EinsumDense("ab,bc->ac", 2, name="whole"),
        ]
    )
    parts = DeployedCost(model, "compact").parts
    assert [part.layer for part in parts] == ["hidden"]


def test_report_reads_as_a_table_and_as_json():
    model = two_layers()
    open_static(model.layers[1], [1, 0, 0, 0, 0, 0, 0, 0])
    report = kdg.predict_time(model, table_of(model))
    text = str(report)
    assert "Milliseconds per batch of 1 (compact" in text
    for number in ("hidden", "4.0000", "0.5000", "0.125", "rest", "1.6250"):
        assert number in text
    content = json.loads(json.dumps(report.to_dict()))
    assert content["milliseconds"] == 1.625
    assert content["layers"][0]["full_milliseconds"] == 4.0
