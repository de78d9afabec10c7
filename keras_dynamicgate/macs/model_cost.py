"""`model_cost`: the products of a model, and which of their inputs and outputs its gates close."""

from collections.abc import Collection
from typing import Any

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.gating.cost import Flow
from keras_dynamicgate.graph.unfold import at_sizes
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.follow import follow, known_shape, open_up
from keras_dynamicgate.utils.types import Inputs, Shape


def model_cost(model: keras.Model, x: Inputs = None, whole: Collection[str] = ()) -> ModelCost:
    """Follow a model's graph and state what every layer costs.

    A subclassed model has no graph; its `call` is then recorded as that of a layer is.

    Args:
        model: A built Keras model; models inside it are followed, too.
        x: Inputs as for `model.predict`, for the sizes that the model leaves open. Defaults to
            `None`.
        whole: Names of the layers that read and compute everything, whatever is closed. Defaults
            to none.

    Returns:
        A `ModelCost`.

    Raises:
        ValueError: If the model is not built or has an axis of unknown size.
    """
    of_graph = not isinstance(model, keras.Model) or graph.has_graph(model)
    count = _of_graph if of_graph else _of_subclassed
    cost = count(model, x, ModelCost(whole=whole))
    if cost.folds:
        cost.keep_costs_of_a_sample(count(model, x, ModelCost(samples=2, whole=whole)))
    return cost


def _of_graph(model: keras.Model, x: Inputs, cost: ModelCost) -> ModelCost:
    flows = input_flows(model, x, cost.samples)
    follow(at_sizes(model, [flow.full_shape for flow in flows]), flows, cost)
    return cost


def input_flows(model: keras.Model, x: Inputs = None, samples: int = 1) -> list[Flow]:
    """Give the `Flow` of each input of a model with a graph.

    Args:
        model: A built Sequential or Functional model.
        x: As in `model_cost`.
        samples: Integer, the number of samples. Defaults to 1.

    Raises:
        ValueError: If the model is not built or has an axis of unknown size.
    """
    shapes = [tuple(tensor.shape)[1:] for tensor in graph.functional(model).inputs]
    if x is not None and any(None in shape for shape in shapes):
        arrays = [np.shape(array) for _, _, array in graph.pair_inputs(model, x, "x")]
        shapes = [
            tuple(given if size is None else size for size, given in zip(*pair, strict=False))
            for pair in zip(shapes, (shape[1:] for shape in arrays), strict=True)
        ]
    return [Flow(known_shape((None, *shape), model), rows=samples) for shape in shapes]


def _of_subclassed(model: keras.Model, x: Inputs, cost: ModelCost) -> ModelCost:
    if x is not None and not model.built:
        model(keras.tree.map_structure(lambda array: array[:1], x))
    example = _example(model, x, cost.samples)
    flows = [
        Flow(tuple(tensor.shape)[1:], rows=cost.samples) for tensor in keras.tree.flatten(example)
    ]
    open_up(model, model.name, (example,), {}, flows, (cost.samples, 1), cost, prefix="")
    return cost


def _example(model: keras.Model, x: Inputs, samples: int) -> Any:
    """Give symbolic inputs of a subclassed model: as `x`, or as what it was first called on."""

    def tensor(shape: Shape, dtype: Any = None) -> keras.KerasTensor:
        is_whole = dtype is not None and np.issubdtype(dtype, np.integer)
        kind = "int32" if is_whole else keras.config.floatx()
        return keras.KerasTensor((samples, *known_shape(shape, model)), dtype=kind)

    def as_built(shapes: Any) -> Any:
        if isinstance(shapes, dict):
            return {name: as_built(shape) for name, shape in shapes.items()}
        is_shape = all(size is None or isinstance(size, int) for size in shapes)
        return tensor(tuple(shapes)) if is_shape else [as_built(shape) for shape in shapes]

    if x is not None:
        return keras.tree.map_structure(
            lambda array: tensor(np.shape(array), keras.backend.standardize_dtype(array.dtype)), x
        )
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if shapes is None:
        raise ValueError(
            f"Model {model.name!r} is subclassed, and what it is called on is not known. Call it "
            "once on an example, or give `count_macs` inputs `x`. "
            f"Received: model of type {type(model).__name__}"
        )
    return as_built(shapes)
