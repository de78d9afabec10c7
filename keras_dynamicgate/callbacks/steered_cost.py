"""`SteeredCost`: the relative MACs that a budget steers, for how open the gates are."""

from typing import Any, Literal

import keras
from keras import ops

from keras_dynamicgate.callbacks.requirements import require_counted_gates
from keras_dynamicgate.counting.delivery import delivery
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.openness import Averages
from keras_dynamicgate.macs.model_cost import model_cost
from keras_dynamicgate.utils.types import Inputs, Tensor

Count = Literal["executed", "deliverable"]


class SteeredCost:
    """What a model costs inside the training step.

    What `compact` keeps depends on all masks of the model, and is no function that a training step
    could follow. Which layers it leaves whole does not: deliverable MACs are counted as executed
    ones are, but these layers in full, and gates that save nothing as open.

    Args:
        model: A compiled model.
        x: Inputs of the sizes that the model leaves open, or `None` if it leaves none.
        count: `"executed"` or `"deliverable"`.

    Attributes:
        gates: List of the gates that save something, in the order in which they run.

    Raises:
        ValueError: If a gated layer is not counted.
    """

    callback = "MacBudget"
    others = (
        'with `count="deliverable"` it steers those alone that save something '
        "(`print(count_macs(model))` says which do not)."
    )

    def __init__(self, model: keras.Model, x: Inputs, count: Count) -> None:
        self._model, self._x, self._count = model, x, count
        self.unit = f"relative MACs, counted as {count}"
        self._counted = self._cost = require_counted_gates(model, "MacBudget", x)
        self.gates: list[Gate] = list(self._counted.gates.values())
        self._useless: list[Gate] = []
        if count == "deliverable":
            delivered = delivery(model, self._counted, x)
            self._cost = model_cost(model, x, whole=delivered.whole)
            for product in self._cost.all_products():
                product.kept = None  # Zeros among single weights save no time.
            self._useless = [gate for gate in self.gates if gate not in delivered.delivering]
            self.gates = [gate for gate in self.gates if gate in delivered.delivering]

    def calls(self, gate: Gate) -> int:
        """Give how often a gate is called for one sample."""
        return self._counted.calls[gate]

    def kind(self) -> Any:
        """Give what each product costs, comparable by `==`; layers are compared by identity."""
        return [
            (product.macs, product.inputs, product.outputs, product.of_gate, id(product.kept))
            for product in self._cost.all_products()
        ]

    def asked(self, target: float) -> str:
        """Give the argument that asked for a budget."""
        return f"target={target}"

    def relative(self, averages: Averages) -> Tensor:
        """Give the relative MACs, a tensor of shape `()` or `(cases,)`.

        Args:
            averages: Dict from each gate in `gates` to a tensor of shape `(gates,)`, or
                `(cases, gates)` for several cases at once.
        """
        opened = {gate: ops.ones(gate.gates, "float32") for gate in self._useless}
        return self._cost.relative_on_average({**opened, **averages})

    def overlooked(self) -> float:
        """Give what more, in relative MACs, is deliverable now than `relative` knows."""
        if self._count == "executed":
            return 0.0
        _, masks = self._counted.decisions_in_training()
        opened = {gate: masks[gate] * 0.0 + 1.0 for gate in self._useless}
        known = sum(each.executed({**masks, **opened}) for each in self._cost.all_products())
        exact = delivery(self._model, self._counted, self._x).remaining(masks)
        return (sum(exact.values()) - known) / max(self._counted.dense(), 1)
