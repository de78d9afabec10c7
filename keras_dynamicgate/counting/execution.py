"""`Execution`: where closed blocks of input-dependent gates are left out."""

import keras

from keras_dynamicgate.compaction.flat_model import FlatModel, StaticMask
from keras_dynamicgate.compaction.liveness import needs_take
from keras_dynamicgate.engine.reach import layers_that_read_blocks
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.layers.gated_layer import gated_layers

SELECTS = "The engine runs no model before which `compact` selects features"


class Execution:
    """How the input-dependent gates of a model are executed on a CPU.

    The engine heeds all of them, where it runs the model as `compact` leaves it, or leaves out by
    itself what static gates close. Without it, layers with `execution="skip"` heed their own.

    Args:
        model: A built Keras model.
        steps: The analysed `FlatModel` of it, or `None` if nothing is compacted.

    Attributes:
        why_masked: String, the reason why gates run masked, or `None` if none do.
    """

    def __init__(self, model: keras.Model, steps: FlatModel | None) -> None:
        gated = [layer for layer in gated_layers(model) if layer.gate.input_dependent]
        self._dependent: set[Gate] = {layer.gate for layer in gated}
        self._skipping = {layer.gate for layer in gated if getattr(layer, "skips", False)}
        self._reads: set[str] = set()
        refusal = None
        if self._dependent:
            try:
                self._reads = layers_that_read_blocks(model)
            except ValueError as error:
                refusal = str(error).split(". ")[0]
            if refusal is None and steps is not None and _leaves_too_much(steps):
                refusal = SELECTS
        self.by_engine = bool(self._dependent) and refusal is None
        masked = self._dependent - self._skipping if refusal else ()
        self.why_masked = f"input-dependent gates run masked ({refusal})" if masked else None

    def heeds(self, name: str, gate: Gate | None) -> set[Gate]:
        """Give the gates that are heeded in a layer.

        Args:
            name: The name of the layer in the count.
            gate: Its own gate, or `None`.
        """
        if self.by_engine and name.split("/")[-1] in self._reads:
            return self._dependent
        own = self._dependent if self.by_engine else self._skipping
        return own & {gate}


def _leaves_too_much(steps: FlatModel) -> bool:
    """Tell whether the engine can run neither what `compact` makes nor the model without loss.

    It does not run the operations that select features. By itself it leaves out what static gates
    close in their own layer or on the input, but not in a layer before them.
    """
    if not any(step.alive and needs_take(step) for step in steps.steps):
        return False
    before: set[str] = set()
    for step in steps.steps:
        if not isinstance(step.operation, StaticMask):
            before |= {step.path} if getattr(step.operation, "weights", None) else set()
        elif before and step.path not in before:
            return True
    return False
