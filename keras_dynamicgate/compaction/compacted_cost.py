"""`compacted_cost`: what the compacted model would cost, without building it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.compaction.flat_model import FlatModel, Slot, StaticMask, Step
from keras_dynamicgate.compaction.gated_rules import Gated
from keras_dynamicgate.compaction.liveness import analyse
from keras_dynamicgate.compaction.product_rules import Grouped
from keras_dynamicgate.gating.cost import Flow, Product
from keras_dynamicgate.gating.openness import KeptOpen, Open, both
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.follow import follow_call


def plan_compaction(model: keras.Model, inputs: Sequence[Flow]) -> FlatModel:
    """Give the steps of a model and what `compact` would keep of them.

    Args:
        model: A built Sequential or Functional model.
        inputs: The `Flow` of each input.
    """
    steps = FlatModel(model, shapes=[flow.full_shape for flow in inputs])
    analyse(steps.steps, steps.outputs)
    return steps


def compacted_cost(
    model: keras.Model, steps: FlatModel, inputs: Sequence[Flow], chained: bool
) -> ModelCost:
    """Count what `compact` would leave of a model.

    The products are those of the steps that `compact` plans, each cut down to the features that the
    step reads and keeps. They stand under the names of the original layers. Gates that depend on
    the input, and those inside of layers that `compact` does not enter, still are in them.

    Args:
        model: The model.
        steps: The `FlatModel` of it, analysed.
        inputs: The `Flow` of each input.
        chained: Whether what input-dependent gates close passes from layer to layer. Otherwise they
            close something in their own layer alone.

    Returns:
        A `ModelCost`.
    """
    cost = ModelCost()
    flows = dict(zip(steps.inputs, inputs, strict=True))
    for step in steps.steps:
        if step.alive:
            found = _follow(step, flows, model, cost)
            if not chained:
                found = [Flow(flow.shape, rows=flow.rows) for flow in found]
            flows.update(zip(step.outputs, found, strict=True))
    return cost


def _follow(
    step: Step, flows: dict[Slot, Flow], model: keras.Model, cost: ModelCost
) -> Sequence[Any]:
    """Add what a step costs; give the flows of its outputs, without what compaction removes."""
    if isinstance(step.operation, StaticMask):
        return [flows[step.inputs[0]]]
    given = [flows[slot] for slot in step.inputs]
    read = [
        dataclasses.replace(flow, open=both(flow.open, _kept(want)), producers=())
        for flow, want in zip(given, step.wants, strict=True)
    ]
    inside = ModelCost()
    found = _call(step, read, model, inside)
    own = [product for product in inside.products.get(step.path, []) if not product.of_gate]
    columns = found[0].producers if found[0] else ()
    for product in own if isinstance(step.rule, Grouped) else columns:
        product.outputs = both(product.outputs, _kept(step.outputs[0].kept))
    if isinstance(step.rule, Gated):
        _leave_out_gates(inside.products[step.path], step.rule.open_gates(step))
    cost.add_repeated(inside, times=1)
    if all(flow.open is None for flow in given) and step.gates is None:
        return [Flow(flow.shape, rows=flow.rows) for flow in found]
    # What is put back where a layer reads it is read, so removed features are no closed ones.
    return _call(step, given, model, ModelCost())


def _call(step: Step, flows: Sequence[Flow], model: keras.Model, cost: ModelCost) -> Sequence[Any]:
    """Follow the call of a step on flows."""
    tensors = [
        keras.KerasTensor(flow.full_shape, dtype=slot.dtype)
        for flow, slot in zip(flows, step.inputs, strict=True)
    ]
    shapes = [slot.shape for slot in step.outputs]
    arguments, symbolic = step.called_on(flows), step.called_on(tensors)
    return follow_call(step.operation, step.path, arguments, symbolic, shapes, model, cost)


def _leave_out_gates(products: Sequence[Product], gates: np.ndarray) -> None:
    """Take gates that are gone out of the last product of a gate network."""
    of_gate = [product for product in products if product.of_gate]
    if of_gate:
        of_gate[-1].outputs = both(of_gate[-1].outputs, _kept(gates))


def _kept(mask: np.ndarray) -> Open | None:
    return None if mask.all() else KeptOpen(tuple(mask.tolist()))
