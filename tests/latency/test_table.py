import dataclasses
import json

import keras
import pytest
from latency.small_tables import table_of, two_layers

import keras_dynamicgate as kdg


def test_table_is_the_same_from_its_file(tmp_path):
    table = dataclasses.replace(table_of(two_layers()), error=0.02)
    table.save(tmp_path / "table.json")
    assert kdg.LatencyTable.load(tmp_path / "table.json") == table
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]


def test_file_says_of_what_model_machine_and_runtime_it_is(tmp_path):
    table_of(two_layers()).save(tmp_path / "table.json")
    content = json.loads((tmp_path / "table.json").read_text())
    assert content["signatures"] == [
        ["hidden", 32, [4, 8], True, True],
        ["out", 16, [8, 2], True, False],
    ]
    setup = content["setup"]
    assert (setup["runtime"], setup["backend"]) == ("compact", keras.backend.backend())
    assert setup["processor"]
    assert setup["cores"] >= 1
    assert (setup["threads"], setup["batch_size"]) == (setup["cores"], 1)


@pytest.mark.parametrize("damage", ["cut off", "other format", "no table", "other keys"])
def test_file_that_is_no_whole_table_is_refused(tmp_path, damage):
    path = tmp_path / "table.json"
    table_of(two_layers()).save(path)
    text = path.read_text()
    content = json.loads(text)
    del content["rest"]
    path.write_text(
        {
            "cut off": text[: len(text) // 2],
            "other format": text.replace("table 1", "table 9"),
            "no table": "[1, 2]",
            "other keys": json.dumps(content),
        }[damage]
    )
    with pytest.raises(ValueError, match=r"`path` must be a file that .*table\.json"):
        kdg.LatencyTable.load(path)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        kdg.LatencyTable.load(tmp_path / "missing.json")


def test_table_holds_for_other_weights_and_names_of_the_same_network():
    other = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGate(),
            kdg.DynamicGateDense(8, gate="static", block_size=1, name="first"),
            keras.layers.Dense(2, name="last"),
        ]
    )
    report = kdg.predict_time(other, table_of(two_layers()))
    layers = {layer.name: layer.full_milliseconds for layer in report.layers}
    assert layers == {"first": 4.0, "last": 1.0}


def test_table_of_another_model_is_refused_with_the_layer_that_differs():
    other = keras.Sequential(
        [keras.Input((4,)), kdg.DynamicGate(), keras.layers.Dense(8, name="hidden")], name="other"
    )
    with pytest.raises(
        ValueError,
        match=r"layer 'hidden' with 32 MACs, a kernel of \(4, 8\) and gates on its inputs and "
        r"outputs where model 'other' has layer 'hidden' .* and gates on its inputs$",
    ):
        kdg.predict_time(other, table_of(two_layers()))
    short = keras.Sequential([keras.Input((4,)), *two_layers().layers[:2]], name="short")
    with pytest.raises(ValueError, match=r"layer 'out' .* where model 'short' has nothing more"):
        kdg.predict_time(short, table_of(two_layers()))


def test_table_of_another_backend_is_refused_for_compacted_models():
    table = table_of(two_layers())
    table = dataclasses.replace(table, setup=dataclasses.replace(table.setup, backend="mxnet"))
    with pytest.raises(ValueError, match=r"a table of 'mxnet', while Keras runs on"):
        kdg.predict_time(two_layers(), table)


@pytest.mark.parametrize(
    ("name", "value"), [("processor", "Z80"), ("cores", 999), ("version", "0.0.1")]
)
def test_table_of_another_machine_is_warned_about_with_what_differs(name, value):
    table = table_of(two_layers())
    table = dataclasses.replace(table, setup=dataclasses.replace(table.setup, **{name: value}))
    with pytest.warns(UserWarning, match=rf"measured elsewhere.*{name} {value!r}, here "):
        assert kdg.predict_time(two_layers(), table).milliseconds == 6.0


def test_what_is_no_table_is_refused():
    with pytest.raises(ValueError, match=r"`table` must be a `LatencyTable`.*table='table.json'"):
        kdg.predict_time(two_layers(), "table.json")
