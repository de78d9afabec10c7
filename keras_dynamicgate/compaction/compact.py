"""`compact`: a smaller, ordinary Keras model in place of one with closed units."""

import contextlib
from typing import Any

import keras

from keras_dynamicgate.baselines.experts import MixtureOfExperts
from keras_dynamicgate.compaction.calibration import calibrate
from keras_dynamicgate.compaction.flat_model import FlatModel
from keras_dynamicgate.compaction.liveness import analyse
from keras_dynamicgate.compaction.rebuild import rebuild
from keras_dynamicgate.compaction.report import CompactionReport, make_report
from keras_dynamicgate.gating.prices import standing_at
from keras_dynamicgate.layers.gated_layer import GatedLayer, gated_layers
from keras_dynamicgate.utils import checks


def compact(
    model: keras.Model,
    x_calibration: Any = None,
    *,
    batch_size: int = 256,
    budget: float | None = None,
) -> keras.Model:
    """Remove the units that gates close, for a smaller model with the same outputs.

    Units that static gates close are gone from their layer and from every layer that reads them.
    The result is a Functional model of `keras.layers` alone, which loads without this package;
    it shares no weights with the original, which is not changed. Closed features that the model
    cannot help computing or getting, such as pixels of its input, are left out with one `take`.
    A closed unit that an activation or a `BatchNormalization` turns into another constant goes
    into the next bias. A layer that needs its full width, as a sum does, gets closed features put
    back as constants. What cannot be removed safely stays: see `compact_with_report`.
    Layers with sparse weights become ordinary ones with zeros in their kernels.

    Layers whose gates depend on the input stay gated, and the model then needs this package to
    load. With `x_calibration`, their blocks that no sample opens are removed, and where all others
    are open for all samples, the layer is not gated any more. The outputs then are the same on
    these samples; on others they may differ.

    Args:
        model: A built Sequential or Functional model; models inside it are followed.
        x_calibration: Inputs as for `model.predict`, on which to judge input-dependent gates: an
            array or a list or dict of arrays. Defaults to `None`: they all stay.
        batch_size: Integer, the number of calibration samples that run at once. Defaults to 256.
        budget: Float, the relative MACs, among those that `MacBudget` has trained the model for, at
            which to judge its gates; so one trained model gives plain models of several sizes. The
            result stands at one budget, whatever the original was trained for. Defaults to
            `None`: as the model stands.

    Returns:
        A Keras model, not compiled. Its layers have the names of the original's; those of inner
        models get the name of the model in front.

    Raises:
        ValueError: If the model is not built or is subclassed, if `x_calibration` has no samples,
            not as many for each input or NaN that reaches a gate, if `batch_size` is no positive
            integer, or if the model was not trained for `budget`.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(32, gate="static", block_size=1, top_k=8),
        ...     keras.layers.Dense(10),
        ... ])
        >>> [layer.units for layer in keras_dynamicgate.compact(model).layers[1:]]
        [8, 10]

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), structural gates
    """
    return compact_with_report(model, x_calibration, batch_size=batch_size, budget=budget)[0]


def compact_with_report(
    model: keras.Model,
    x_calibration: Any = None,
    *,
    batch_size: int = 256,
    budget: float | None = None,
) -> tuple[keras.Model, CompactionReport]:
    """Do what `compact` does and also tell what went, what stayed and why.

    Args:
        model: As in `compact`.
        x_calibration: As in `compact`.
        batch_size: As in `compact`.
        budget: As in `compact`.

    Returns:
        The new model and a `CompactionReport`.

    Raises:
        ValueError: As `compact`.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(32, gate="static", block_size=1, top_k=8),
        ...     keras.layers.Dense(10),
        ... ])
        >>> small, report = keras_dynamicgate.compact_with_report(model)
        >>> report.parameters_after
        610
    """
    checks.positive_integer("batch_size", batch_size)
    gates = [layer.gate for layer in gated_layers(model)]
    with contextlib.nullcontext() if budget is None else standing_at(gates, budget):
        calibration = None if x_calibration is None else calibrate(model, x_calibration, batch_size)
        steps = FlatModel(model, calibration)
        analyse(steps.steps, steps.outputs)
        small = rebuild(model, steps)
    for layer in gated_layers(small):
        # Its budgets are shares of the original, with other units closed for good at each.
        layer.gate.price_table.set_rows(())
    gated = (GatedLayer, MixtureOfExperts)
    return small, make_report(model, small, steps, lambda layer: isinstance(layer, gated))
