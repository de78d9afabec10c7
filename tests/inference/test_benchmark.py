"""What the benchmark reports; no time is tested."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.inference.benchmark import benchmark, measure
from keras_dynamicgate.inference.benchmark_report import BenchmarkReport, Timing
from keras_dynamicgate.inference.dense_reference import dense_reference

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


def test_a_report_reads_as_a_table_and_as_json():
    timing = Timing("engine", 8, 0.25, 0.5, 32000.0, 4.0, 0.8, calls=12)
    report = BenchmarkReport(0.2, "torch", [timing], ["A note."])
    text = str(report)
    assert "0.250" in text
    assert "32,000" in text
    assert "4.00" in text
    assert "A note." in text
    assert json.loads(json.dumps(report.to_dict()))["timings"][0]["median"] == 0.25


def test_runs_are_interleaved_and_their_first_call_is_not_timed(monkeypatch):
    for phase in ("WARM_UP", "TIMED"):
        monkeypatch.setattr(f"keras_dynamicgate.inference.benchmark.{phase}", 0.0)
    calls = []
    run = {name: lambda batch, name=name: calls.append(name) for name in "ab"}
    times = measure(run, [None], seconds=0.0)
    assert calls == ["a", "b"] + 3 * (5 * ["a"] + 5 * ["b"])
    assert len(times["a"]) == len(times["b"]) == 12


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


def test_no_samples_are_refused(x):
    with pytest.raises(ValueError, match="at least one sample"):
        benchmark(gated_model(), x[:0])
