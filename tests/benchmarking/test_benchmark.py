"""What the benchmark reports; no time is tested."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.benchmarking.benchmark import benchmark
from keras_dynamicgate.benchmarking.dense_reference import dense_reference
from keras_dynamicgate.benchmarking.report import BenchmarkReport, Timing
from keras_dynamicgate.latency.backend_function import runner

pytest.importorskip("numba")


def gated_model():
    return keras.Sequential(
        [
            keras.Input((64,)),
            kdg.DynamicGateDense(64, "relu", gate=kdg.LowRankGate(2), block_size=16, top_k=2),
            layers.Dense(4),
        ]
    )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(8, 64)).astype("float32")


def test_every_way_to_run_is_measured_at_every_batch_size(x):
    report = benchmark(gated_model(), x, batch_sizes=(1, 16), threads=1, seconds=0.0)
    measured = [(timing.name, timing.batch_size) for timing in report.timings]
    assert measured == [(name, size) for size in (1, 16) for name in ("dense", "masked", "engine")]
    assert any(note.startswith("compact was not measured") for note in report.notes)
    # Half of 64 * 64 + 64 * 4 MACs, and 2 * (64 + 4) for the gates.
    assert report.relative == pytest.approx((2176 + 136) / 4352)


def test_ratios_follow_from_the_medians(x):
    report = benchmark(gated_model(), x, batch_sizes=(8,), threads=1, seconds=0.0)
    dense, _, engine = report.timings
    assert dense.ratio_to_dense == dense.ratio_to_limit == 1.0
    assert engine.ratio_to_dense == pytest.approx(dense.median / engine.median)
    assert engine.ratio_to_limit == pytest.approx(engine.ratio_to_dense * report.relative)
    assert engine.throughput == pytest.approx(8e3 / engine.median)


def test_the_limit_of_a_compacted_model_is_that_of_its_own_macs(x):
    keras.utils.set_random_seed(0)
    static = kdg.DynamicGateDense(16, gate="static", block_size=1, top_k=4)
    dynamic = kdg.DynamicGateDense(16, gate=kdg.LowRankGate(1), block_size=4, top_k=2)
    model = keras.Sequential([keras.Input((64,)), static, layers.Activation("sigmoid"), dynamic])
    report = benchmark(model, x, batch_sizes=(8,), threads=1, seconds=0.0)
    dense, _, small, _ = report.timings
    assert small.name == "compact"
    share = (64 * 4 + 4 * 8 + 4 + 4) / (64 * 16 + 16 * 16)
    assert small.ratio_to_limit == pytest.approx(share * dense.median / small.median)
    assert report.relative == share


def test_a_runner_gives_the_outputs_of_the_model_as_arrays(x):
    start = keras.Input((64,))
    hidden = layers.Dropout(0.5)(layers.Dense(8)(start))
    model = keras.Model(start, {"a": layers.Dense(2)(hidden), "b": hidden})
    run = runner(model)
    for batch in (x, x[:1], keras.ops.convert_to_tensor(x)):
        outputs = run(batch)
        expected = model.predict_on_batch(batch)
        for name in ("a", "b"):
            assert type(outputs[name]) is np.ndarray
            np.testing.assert_allclose(outputs[name], expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("ratio", "said"), [(0.8, False), (1.0, False), (1.5, True)])
def test_a_ratio_beyond_the_limit_is_explained(ratio, said):
    timing = Timing("engine", 8, 0.25, 0.5, 32000.0, 4.0, ratio, calls=12)
    report = BenchmarkReport(0.2, "torch", [timing], [])
    assert ("more than skipping can give" in str(report)) == said


def test_a_report_reads_as_a_table_and_as_json():
    timing = Timing("engine", 8, 0.25, 0.5, 32000.0, 4.0, 0.8, calls=12)
    report = BenchmarkReport(0.2, "torch", [timing], ["A note."])
    text = str(report)
    assert "0.250" in text
    assert "32,000" in text
    assert "4.00" in text
    assert "A note." in text
    assert json.loads(json.dumps(report.to_dict()))["timings"][0]["median"] == 0.25


def test_the_dense_reference_is_the_network_with_every_gate_open(x):
    keras.utils.set_random_seed(1)
    inner = keras.Sequential([keras.Input((64,)), layers.Dense(64), layers.BatchNormalization()])
    model = keras.Sequential(
        [
            keras.Input((64,)),
            inner,
            kdg.DynamicGate("linear", block_size=16, top_k=4),
            kdg.DynamicGateMLP(64, 8, gate="linear", block_size=32, top_k=2, gated_linear=True),
        ]
    )
    dense = dense_reference(model)
    np.testing.assert_allclose(
        dense.predict_on_batch(x), model.predict_on_batch(x), rtol=1e-6, atol=1e-6
    )
    assert dense.count_params() == 64 * 65 + 4 * 64 + 2 * 64 * 65 + 8 * 65


@pytest.mark.parametrize("sizes", [(0,), (1, 2.5), ("8",)])
def test_batch_sizes_must_be_positive_integers(x, sizes):
    with pytest.raises(ValueError, match="Argument `batch_sizes` must be a positive integer"):
        benchmark(gated_model(), x, batch_sizes=sizes)


@pytest.mark.parametrize("sizes", [8, "8", None])
def test_batch_sizes_must_be_several(x, sizes):
    with pytest.raises(ValueError, match="`batch_sizes` must be a list or tuple of positive"):
        benchmark(gated_model(), x, batch_sizes=sizes)


@pytest.mark.parametrize("seconds", ["a", -1, float("nan")])
def test_seconds_must_not_be_negative(x, seconds):
    with pytest.raises(ValueError, match="Argument `seconds` must be a number of at least 0"):
        benchmark(gated_model(), x, seconds=seconds)


@pytest.mark.parametrize("threads", [0, 1.5])
def test_threads_must_be_a_positive_integer(x, threads):
    with pytest.raises(ValueError, match="Argument `threads` must be a positive integer"):
        benchmark(gated_model(), x, threads=threads)


def test_a_model_with_two_inputs_is_refused(x):
    one, other = keras.Input((64,)), keras.Input((64,))
    model = keras.Model([one, other], layers.Add()([one, other]))
    with pytest.raises(ValueError, match="must have one input.* with 2 inputs"):
        benchmark(model, [x, x])


def test_inputs_must_be_numbers(x):
    with pytest.raises(ValueError, match="Argument `x` must be an array of real numbers"):
        benchmark(gated_model(), np.full((2, 64), "a"))


def test_no_samples_are_refused(x):
    with pytest.raises(ValueError, match="at least one sample"):
        benchmark(gated_model(), x[:0])
