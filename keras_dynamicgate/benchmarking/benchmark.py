"""`benchmark`: how many milliseconds skipping saves, compared with the dense reference."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.benchmarking.dense_reference import dense_reference
from keras_dynamicgate.benchmarking.report import BenchmarkReport, Timing
from keras_dynamicgate.counting.count import count_macs
from keras_dynamicgate.engine.arrays import as_float32
from keras_dynamicgate.engine.engine import InferenceEngine
from keras_dynamicgate.latency.backend_function import runner
from keras_dynamicgate.latency.timing import Run, measure
from keras_dynamicgate.utils import checks

MAC_SAMPLES = 1024


def benchmark(
    model: keras.Model,
    x: Any,
    batch_sizes: Iterable[int] = (1, 8, 64, 256, 1024),
    *,
    threads: int | None = None,
    seconds: float = 2.0,
) -> BenchmarkReport:
    """Measure a gated model against its dense reference: masked, compacted and on the engine.

    All of them take turns, round after round, so that other load on the machine affects all alike.
    The dense reference is the same network with every gate open and no gate networks. Keras models
    run as compiled functions of the backend in use, or eagerly on PyTorch, without the overhead of
    `predict`; each call takes a NumPy array and returns one.

    Args:
        model: A built Sequential or Functional model with gated layers and one input.
        x: Inputs, array of shape `(samples, ...)`. Batches are taken from it in turn, starting
            over where there are too few samples.
        batch_sizes: Positive integers. Defaults to `(1, 8, 64, 256, 1024)`.
        threads: Integer, the threads of the engine; Keras's backends take their own settings.
            Defaults to `None`: all cores.
        seconds: Float of at least 0, roughly how long to measure each batch size. Defaults to 2.0.

    Returns:
        A `BenchmarkReport`; `print` shows it as a table.

    Raises:
        ValueError: If `x` is empty, an argument is out of range, the model has several inputs, or
            its cost cannot be counted.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateMLP(256, 10, block_size=32, top_k=2),
        ... ])
        >>> x = np.random.default_rng(0).normal(size=(32, 64))
        >>> report = keras_dynamicgate.benchmark(model, x, batch_sizes=(1, 8), seconds=0.1)
        >>> sorted({timing.name for timing in report.timings})
        ['dense', 'engine', 'masked']

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), whose gates are counted in MACs only
    """
    batch_sizes = _checked_sizes(batch_sizes)
    checks.number("seconds", seconds, "of at least 0", lambda value: value >= 0)
    if threads is not None:
        checks.positive_integer("threads", threads)
    x = _checked_inputs(model, x)
    relative = count_macs(model, x[:MAC_SAMPLES]).relative
    contenders, notes = _contenders(model, x[:MAC_SAMPLES], relative, threads)
    report = BenchmarkReport(relative, keras.backend.backend(), [], notes)
    for size in batch_sizes:
        batches = _batches(x, size)
        times = measure({name: run for name, (run, _) in contenders.items()}, batches, seconds)
        dense = float(np.median(times["dense"]))
        for name, (_, share) in contenders.items():
            report.timings.append(_timing(name, size, times[name], dense, share))
    return report


def _checked_sizes(batch_sizes: Any) -> tuple[int, ...]:
    if isinstance(batch_sizes, str) or not isinstance(batch_sizes, Iterable):
        raise ValueError(
            "Argument `batch_sizes` must be a list or tuple of positive integers. "
            f"Received: batch_sizes={batch_sizes!r}"
        )
    sizes = tuple(batch_sizes)
    for size in sizes:
        checks.positive_integer("batch_sizes", size)
    return sizes


def _checked_inputs(model: keras.Model, x: Any) -> np.ndarray:
    inputs = len(graph.functional(model).inputs)
    if inputs != 1:
        raise ValueError(
            "Argument `model` must have one input, from which batches are taken. "
            f"Received: model {model.name!r} with {inputs} inputs"
        )
    x = as_float32(x)
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(
            "Argument `x` must be an array of at least one sample with an axis for the batch. "
            f"Received: x.shape={x.shape}"
        )
    return x


def _contenders(
    model: keras.Model, x: np.ndarray, relative: float, threads: int | None
) -> tuple[dict[str, tuple[Run, float]], list[str]]:
    """Return what can be measured, as functions with relative MACs, and notes on the rest."""
    contenders = {
        "dense": (runner(dense_reference(model)), 1.0),
        "masked": (runner(model), relative),
    }
    notes = []
    try:
        small = _compacted(model)
        share = count_macs(model, x).dense
        report = count_macs(small, x)
        contenders["compact"] = (runner(small), (report.executed + report.gates) / share)
    except (ValueError, ImportError) as error:
        notes.append(f"compact was not measured: {error}")
    try:
        engine = InferenceEngine(model, threads=threads)
        contenders["engine"] = (engine.predict, relative)
        notes.append(f"The engine used {engine.threads} thread(s).")
    except ValueError as error:
        notes.append(f"engine was not measured: {error}")
    return contenders, notes


def _compacted(model: keras.Model) -> keras.Model:
    from keras_dynamicgate.compaction.compact import compact
    from keras_dynamicgate.macs.model_cost import model_cost

    if all(gate.input_dependent for gate in model_cost(model).gates.values()):
        raise ValueError("the model has no static gates.")
    return compact(model)


def _batches(x: np.ndarray, size: int) -> list[np.ndarray]:
    """Take several batches of one size, with different samples if there are enough."""
    count = min(16, max(1, len(x) // size))
    index = np.arange(count * size) % len(x)
    return [np.ascontiguousarray(x[index[i * size : (i + 1) * size]]) for i in range(count)]


def _timing(name: str, size: int, times: Sequence[float], dense: float, share: float) -> Timing:
    median = float(np.median(times))
    return Timing(
        name=name,
        batch_size=size,
        median=1e3 * median,
        p90=1e3 * float(np.percentile(times, 90)),
        throughput=size / median,
        ratio_to_dense=dense / median,
        ratio_to_limit=dense * share / median,
        calls=len(times),
    )
