"""The base of the rules: what a kind of step does to constant, unneeded and removed features."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_dynamicgate.compaction.flat_model import Slot, Step
from keras_dynamicgate.graph.state import copy_all_state

if TYPE_CHECKING:
    from keras_dynamicgate.compaction.rebuild import NewLayers


class Rule:
    """Keeps a step as it is: it reads everything and computes everything.

    Other rules override what they know better. All methods take the step that they are about.

    Args:
        reason: Why the step cannot be made smaller.
    """

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason

    def refusal(self, step: Step) -> str | None:
        """Give the reason why this rule does not hold for a step, or `None` if it does."""
        return None

    def constants(self, step: Step) -> list[np.ndarray]:
        """Give for each output the values of its constant features, NaN for the others."""
        return [np.full(slot.width, np.nan) for slot in step.outputs]

    def spares(self, step: Step) -> bool:
        """Tell whether output features that are not needed spare a product some work."""
        return False

    def wants(self, step: Step) -> list[np.ndarray]:
        """Give for each input which features the step must read, `needed` of the outputs known."""
        return [slot.all() for slot in step.inputs]

    def keeps(self, step: Step) -> list[np.ndarray]:
        """Give for each output which features the new step computes, at least the needed ones."""
        return [slot.all() for slot in step.outputs]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        """List the constant features that the step makes stay: input, mask and reason."""
        return [(slot, slot.known, self.reason) for slot in step.inputs]

    def why_unneeded(self, step: Step) -> str | None:
        """Give the reason why unneeded outputs are kept, `None` if that is no loss."""
        return self.reason

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        """Call the new operation.

        Args:
            args: Arguments with tensors of the new model, which hold the wanted features.
            kwargs: Keyword arguments, likewise.
            layers: `NewLayers`, which names layers and remembers those that are shared.

        Returns:
            The output tensor or tensors, which hold the kept features.
        """
        layer, is_new = layers.copy(step)
        fill = is_new and bool(getattr(step.operation, "weights", None))
        if fill and step.operation.get_build_config():
            # It may hold what the config does not, such as the quantization of layers inside.
            layer.build_from_config(step.operation.get_build_config())
        outputs = layer(*args, **kwargs)
        if fill:
            copy_all_state(step.operation, layer)
        return outputs


class Whole(Rule):
    """Another rule's step with all its inputs and outputs, because something around it needs so.

    Args:
        rule: The rule that knows how to build the step.
        reason: Why the step cannot be made smaller.
    """

    def __init__(self, rule: Rule, reason: str | None) -> None:
        super().__init__(reason)
        self.rule = rule

    def constants(self, step: Step) -> list[np.ndarray]:
        return self.rule.constants(step)

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        return self.rule.build(step, args, kwargs, layers)


ONE_MUST_STAY = "all units are closed, and a layer needs one"


def at_least_one(mask: Any) -> np.ndarray:
    """Keep one feature where none is left: layers and tensors of size 0 do not exist in Keras."""
    mask = mask.copy()
    mask[0] |= not mask.any()
    return mask
