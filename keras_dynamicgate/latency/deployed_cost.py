"""`DeployedCost`: the products of a model that get quicker as its gates close."""

import dataclasses
from collections.abc import Collection
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.compaction.compacted_cost import plan_compaction
from keras_dynamicgate.compaction.rule import Rule
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.openness import Averages, Masks, Open, gates_in
from keras_dynamicgate.latency.setup import Runtime
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.model_cost import input_flows, model_cost
from keras_dynamicgate.utils.types import Inputs, Tensor

# What tells a product from that of another model: its layer, its multiply-accumulates, the shape of
# its kernel, and whether gates close its inputs and its outputs.
Signature = tuple[str, int, tuple[int, ...], bool, bool]


@dataclasses.dataclass(frozen=True)
class GatedPart:
    """A product some of whose inputs or outputs gates close in a runtime.

    Attributes:
        layer: Name of its layer.
        product: Integer, the place among the products of the layer.
        macs: Integer, its multiply-accumulates with everything open.
        inputs: Which inputs are open, `None` if all are.
        outputs: Which outputs are open, `None` if all are.
    """

    layer: str
    product: int
    macs: int
    inputs: Open | None
    outputs: Open | None

    def on_average(self, averages: Averages) -> tuple[Tensor, Tensor]:
        """Give the open shares of inputs and outputs for the average openness of each gate."""
        one, other = (
            1.0 if part is None else part.share(averages) for part in (self.inputs, self.outputs)
        )
        return ops.convert_to_tensor(one, "float32"), ops.convert_to_tensor(other, "float32")

    def shares(self, averages: Averages) -> tuple[float, float]:
        """Give the same as numbers."""
        one, other = map(ops.convert_to_numpy, self.on_average(averages))
        return float(one), float(other)

    def of_samples(self, masks: Masks) -> tuple[np.ndarray, np.ndarray]:
        """Give the open shares of inputs and outputs for each sample, or position."""
        shares = [
            np.ones(1) if part is None else np.asarray(part.fraction(masks))
            for part in (self.inputs, self.outputs)
        ]
        rank = max(share.ndim for share in shares)
        aligned = [share.reshape(share.shape + (1,) * (rank - share.ndim)) for share in shares]
        one, other = np.broadcast_arrays(*aligned)
        return one, other


class DeployedCost:
    """The products of a model that get quicker as its gates close, in a runtime.

    `compact` takes away what static gates close, but not in layers that it leaves whole; the engine
    skips what any gate closes.

    Args:
        model: A built Keras model.
        runtime: `"compact"` or `"engine"`.
        x: Inputs as for `model.predict`, for the sizes that the model leaves open. Defaults to
            `None`.

    Attributes:
        cost: The `ModelCost` of the model.
        parts: List of `GatedPart`.
        positions: List of the place of each part among all products.
        gates: Dict from layer name to those gates that make something quicker.
        signatures: List of the `Signature` of each product of the model.
    """

    def __init__(self, model: keras.Model, runtime: Runtime, x: Inputs = None) -> None:
        whole: Collection[str] = ()
        if runtime == "compact":
            steps = plan_compaction(model, input_flows(model, x)).steps
            whole = {step.path for step in steps if type(step.rule) is Rule}
        self.cost: ModelCost = model_cost(model, x, whole=whole)
        self.parts: list[GatedPart] = []
        self.positions: list[int] = []
        self.signatures: list[Signature] = []
        for layer, products in self.cost.products.items():
            for number, product in enumerate(products):
                gated_by = [
                    side.fixed if side is not None and runtime == "compact" else side
                    for side in (product.inputs, product.outputs)
                ]
                gated = [side is not None for side in gated_by]
                kernel = getattr(product.layer, "kernel", None)
                shape = () if kernel is None else tuple(kernel.shape)
                self.signatures.append((layer, int(product.macs), shape, gated[0], gated[1]))
                if any(gated):
                    self.positions.append(len(self.signatures) - 1)
                    self.parts.append(GatedPart(layer, number, int(product.macs), *gated_by))
        named = set().union(
            *(gates_in(part.inputs) | gates_in(part.outputs) for part in self.parts)
        )
        self.gates = {name: gate for name, gate in self.cost.gates.items() if gate in named}

    def all_open(self) -> dict[Gate, Any]:
        """Give the average openness of all gates with everything open."""
        return {gate: np.ones(gate.gates, "float32") for gate in self.cost.gates.values()}
