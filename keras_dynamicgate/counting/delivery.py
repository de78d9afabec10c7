"""`Delivery`: what of the savings that gates promise something in this package delivers."""

import dataclasses
from collections.abc import Iterable

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.compaction.compacted_cost import compacted_cost, plan_compaction
from keras_dynamicgate.compaction.report import reasons_by_layer
from keras_dynamicgate.compaction.rule import Rule
from keras_dynamicgate.counting.execution import Execution
from keras_dynamicgate.gating.cost import Product
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.openness import Masks
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.model_cost import input_flows
from keras_dynamicgate.utils.types import Inputs

THEORETICAL = "single weights that are 0 save no time without special kernels"
SUBCLASSED = "a subclassed model has no graph that `compact` could follow"
AROUND = "layers before or behind it stay whole"


@dataclasses.dataclass
class Delivery:
    """What remains of a model after `compact`, and which gates its execution then heeds.

    Attributes:
        products: Dict from layer name to the products that remain.
        heeded: Dict from layer name to the gates whose closed units the execution neither computes
            nor reads in that layer.
        delivering: The gates that save something: those that `compact` takes away and those that
            are heeded.
        reasons: Dict from the name of a layer to the reason why something closed remains in it and
            in the layers inside it.
        further_reason: The reason for layers that none is known of.
        whole: The names of the layers that `compact` never makes smaller.
    """

    products: dict[str, list[Product]]
    heeded: dict[str, set[Gate]]
    delivering: set[Gate]
    reasons: dict[str, str]
    further_reason: str
    whole: set[str]

    def remaining(self, masks: Masks) -> dict[str, float]:
        """Give the multiply-accumulates of each layer that remain, its gate network included.

        Args:
            masks: Dict from `Gate` to its masks, of shape `(samples or 1, ..., gates)`.
        """
        opened = {gate: np.ones((1, gate.gates), "float32") for gate in masks}
        macs = {}
        for name, products in self.products.items():
            heeded = {gate: masks[gate] for gate in self.heeded.get(name, ())}
            macs[name] = sum(product.executed({**opened, **heeded}) for product in products)
        return macs

    def reason(self, name: str) -> str:
        """Give the reason why more remains of a layer than its gates leave open."""
        parts = name.split("/")
        around = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        known = (self.reasons[path] for path in around if path in self.reasons)
        return next(known, self.further_reason)


def delivery(model: keras.Model, counted: ModelCost, x: Inputs = None) -> Delivery:
    """Find out what of the savings of a model is delivered.

    Static gates are taken as `compact` would take them away, without doing it; gates that depend on
    the input as an `Execution` heeds them.

    Args:
        model: A built Keras model.
        counted: The `ModelCost` of it.
        x: Inputs as for `model.predict`, for the sizes that the model leaves open. Defaults to
            `None`.
    """
    static = {layer.gate for layer in gated_layers(model) if not layer.gate.input_dependent}
    flows, steps = [], None
    if static and graph.has_graph(model):
        flows = input_flows(model, x)
        steps = plan_compaction(model, flows)
    execution = Execution(model, steps)
    if steps is None:
        remaining, compacted, whole = counted, set(), set()
        reasons = dict.fromkeys(counted.products, SUBCLASSED) if static else {}
    else:
        remaining = compacted_cost(model, steps, flows, chained=execution.by_engine)
        compacted = static - set(remaining.gates.values())
        whole = {step.path for step in steps.steps if type(step.rule) is Rule}
        reasons = reasons_by_layer(steps)
    for name, products in counted.products.items():
        if any(product.theoretical for product in products):
            reasons[name] = THEORETICAL
    gates = counted.gates
    heeded = {name: execution.heeds(name, gates.get(name)) for name in counted.products}
    return Delivery(
        {name: _without_holes(remaining.products.get(name, ())) for name in counted.products},
        heeded,
        compacted.union(*heeded.values()),
        reasons,
        execution.why_masked or AROUND,
        whole,
    )


def _without_holes(products: Iterable[Product]) -> list[Product]:
    """Copy products with all weights of their kernels, those that are 0 as well."""
    return [dataclasses.replace(product, kept=None) for product in products]
