"""`ModelCost`: the products of a model by layer, and what is not counted."""

import dataclasses
import math
from collections import Counter
from collections.abc import Collection, Sequence

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Product
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.openness import Averages, Masks
from keras_dynamicgate.utils.types import Shape, Tensor


@dataclasses.dataclass
class ModelCost:
    """The products of a model, by the name of the layer that computes them.

    Attributes:
        products: Dict from layer name to its list of products, in the order of the model.
        gates: Dict from layer name to the `Gate` of the layer, for gated layers.
        calls: How often each gate is called for one sample.
        not_counted: Names and types of the layers that no rule covers.
        uncounted_macs: What these may cost, by the sizes of their kernels.
        samples: The number of samples in the batch that is counted.
        folds: Whether other axes are folded into that of the samples.
        whole: Names of the layers that read and compute everything, whatever is closed.
    """

    products: dict[str, list[Product]] = dataclasses.field(default_factory=dict)
    gates: dict[str, Gate] = dataclasses.field(default_factory=dict)
    calls: Counter[Gate] = dataclasses.field(default_factory=Counter)
    not_counted: list[str] = dataclasses.field(default_factory=list)
    uncounted_macs: int = 0
    samples: int = 1
    folds: bool = False
    whole: Collection[str] = ()

    def add(self, name: str, products: Sequence[Product]) -> None:
        """Add products under the name of a layer; a gated layer is listed even without any."""
        if products or name in self.gates:
            self.products.setdefault(name, []).extend(products)

    def add_gate(self, name: str, layer: keras.layers.Layer) -> None:
        """Add the gate of a layer, once; one that is called several times has its first name."""
        if layer.gate not in self.gates.values():
            self.gates[name] = layer.gate
        self.calls[layer.gate] += 1

    def add_repeated(self, other: "ModelCost", times: int) -> None:
        """Add what is computed several times for each sample."""
        for product in other.all_products():
            product.macs *= times
        for gate in other.gates.values():
            self.calls[gate] += times
        self.gates |= {
            name: gate for name, gate in other.gates.items() if gate not in self.gates.values()
        }
        for name in dict.fromkeys([*other.products, *other.gates]):
            self.add(name, other.products.get(name, ()))
        self.not_counted += [each for each in other.not_counted if each not in self.not_counted]
        self.uncounted_macs += times * other.uncounted_macs
        self.folds |= other.folds

    def leave_out(self, name: str, operation: keras.Operation, kernels: int, shape: Shape) -> None:
        """Note a layer or operation as not counted.

        Args:
            name: Its name.
            operation: The layer or operation.
            kernels: The number of weights of its kernels, which estimates its cost.
            shape: The shape of its output, with the batch axis.
        """
        entry = f"{name} ({type(operation).__name__})"
        if entry not in self.not_counted:
            self.not_counted.append(entry)
        self.uncounted_macs += kernels * math.prod(shape[:-1])

    def keep_costs_of_a_sample(self, of_two: "ModelCost") -> None:
        """Leave out what does not cost twice as much for two samples: there, samples meet.

        Args:
            of_two: The `ModelCost` of the same model with a batch of two samples.
        """
        for name, products in list(self.products.items()):
            macs, twice = (
                sum(product.macs for product in each)
                for each in (products, of_two.products.get(name, ()))
            )
            if twice != 2 * macs and name not in self.gates:
                del self.products[name]
                self.not_counted.append(f"{name} (mixes samples)")

    def all_products(self) -> list[Product]:
        """List the products of all layers."""
        return [product for products in self.products.values() for product in products]

    def dense(self) -> int:
        """Sum the multiply-accumulates per sample with everything open, without gate networks."""
        return sum(product.macs for product in self.all_products() if not product.of_gate)

    def uncounted_share(self) -> float:
        """Estimate the share of the model's multiply-accumulates that is not counted."""
        return self.uncounted_macs / max(self.uncounted_macs + self.dense(), 1)

    def decisions_in_training(self) -> tuple[Masks, Masks]:
        """Give probabilities and masks as of one sample, without data.

        They are exact for static gates; for the others they are the means of the last training
        batch.

        Returns:
            Two dicts from `Gate` to an array of shape `(1, gates)`.
        """
        probabilities, masks = {}, {}
        for gate in self.gates.values():
            if gate.input_dependent:
                probabilities[gate] = ops.convert_to_numpy(gate.usage)[None]
                masks[gate] = ops.convert_to_numpy(gate.open_ratio)[None]
            else:
                probability, mask = gate.static_decision()
                probabilities[gate], masks[gate] = probability[None], mask[None]
        return probabilities, masks

    def per_sample(self, masks: Masks) -> tuple[np.ndarray, np.ndarray]:
        """Give the executed and the gate multiply-accumulates of each sample.

        Args:
            masks: Dict from `Gate` to its masks, of shape `(samples or 1, ..., gates)`.

        Returns:
            Two arrays of shape `(samples or 1,)`; 1 where all samples run the same.
        """
        executed, of_gates = np.zeros(1), np.zeros(1)
        for product in self.all_products():
            if product.of_gate:
                of_gates = of_gates + product.executed_per_sample(masks)
            else:
                executed = executed + product.executed_per_sample(masks)
        return executed, of_gates

    def relative_on_average(self, averages: Averages) -> Tensor:
        """Give the relative MACs, a tensor, for the average openness of each gate.

        Different gates count as independent of each other.

        Args:
            averages: Dict from `Gate` to a tensor of shape `(gates,)`, or `(cases, gates)` for
                several cases at once, with numbers from 0 to 1.
        """
        macs = sum(product.executed_on_average(averages) for product in self.all_products())
        return macs / max(self.dense(), 1)
