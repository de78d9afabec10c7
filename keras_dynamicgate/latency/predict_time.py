"""`predict_time`: the milliseconds of a model by a latency table."""

import keras

from keras_dynamicgate.gating.record import count_samples, record_batches
from keras_dynamicgate.latency.model_times import ModelTimes
from keras_dynamicgate.latency.report import LayerTime, TimeReport
from keras_dynamicgate.latency.table import LatencyTable
from keras_dynamicgate.utils.types import Inputs

BATCH_SIZE = 256


def predict_time(model: keras.Model, table: LatencyTable, x: Inputs = None) -> TimeReport:
    """Predict how many milliseconds a model takes, by what its gates leave open.

    What `count_macs` is for multiply-accumulates. Nothing is timed here: open shares are looked up
    in the table, for each sample of `x`, and averaged.

    Args:
        model: A built Keras model.
        table: A `LatencyTable` of a model with the same layers.
        x: Inputs as for `model.predict`. Defaults to `None`: static gates by their masks,
            input-dependent ones by their means over the last training batch.

    Returns:
        A `TimeReport`; `print` shows it as a table.

    Raises:
        ValueError: If the table is of another model or backend, or if `x` has no samples or NaN
            that reaches a gate or an output.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(128, gate="static"),
        ...     keras.layers.Dense(10),
        ... ])
        >>> table = keras_dynamicgate.LatencyTable.measure(model, rounds=2, verbose=0)
        >>> report = keras_dynamicgate.predict_time(model, table)
        >>> report.milliseconds <= report.full_milliseconds
        True
    """
    times = ModelTimes(model, table, x)
    if x is None:
        _, masks = times.deployed.cost.decisions_in_training()
        layers = times.by_layer(masks)
    else:
        samples = count_samples(x, "x")
        layers = dict.fromkeys(times.full_by_layer(), 0.0)
        for rows, record in record_batches(model, x, BATCH_SIZE):
            share = (rows.stop - rows.start) / samples
            for name, milliseconds in times.by_layer(record.masks()).items():
                layers[name] += share * milliseconds
    full = times.full_by_layer()
    return TimeReport(
        [LayerTime(name, layers[name], full[name]) for name in layers],
        table.rest,
        None if x is None else samples,
        table.setup,
    )
