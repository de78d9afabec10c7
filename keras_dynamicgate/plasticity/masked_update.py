"""`MaskedUpdate`: an optimizer that updates a part of the weights and leaves the rest alone."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.graph.slots import Slot, slots, trained

# Files hold the place of a mode among these, so new ones come last.
MODES = ("none", "gates", "inactive", "both", "all", "head", "biases")


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class MaskedUpdate(keras.optimizers.Optimizer):
    """Wraps an optimizer so that only chosen numbers among the weights change, the rest by no bit.

    The *update* is masked, not the gradient: the wrapped optimizer computes its step as ever, with
    clipping, weight decay, constraints and moving averages, and where the mask is closed the old
    weight, momentum and whatever else the optimizer keeps for it are put back, bit for bit; with
    `use_ema=True` its average is the weight itself. A gradient of 0 would not do: momentum, Adam's
    moments and weight decay go on moving a weight.

    The masks are variables of the optimizer. `set_update_mode` changes them, which compiles nothing
    anew, and files keep them. At first everything learns, as without the wrapper.

    What an optimizer keeps for a weight as a whole, such as the averages over rows of `Adafactor`,
    and its counters move with every step.

    Args:
        inner_optimizer: A `keras.optimizers.Optimizer`, its name or its config. One that is built,
            such as that of a compiled model, keeps what it knows. In float16 it may be a
            `LossScaleOptimizer`, or be wrapped by one, as `compile` does.
        name: String. Defaults to `None`.

    Attributes:
        mode: Integer variable, the update mode as an index in `MODES`.
        masks: List of boolean variables in the shapes of the weights, true for what learns.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> model.compile(keras_dynamicgate.plasticity.MaskedUpdate("adam"), "mse")
        >>> keras_dynamicgate.plasticity.set_update_mode(model, "biases")
        >>> kernel = model.layers[0].kernel.numpy()
        >>> history = model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
        >>> bool((model.layers[0].kernel.numpy() == kernel).all())
        True
    """

    def __init__(self, inner_optimizer: Any, name: str | None = None) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = keras.optimizers.get(inner_optimizer)
        self._slots: list[Slot] = []
        # Read now, since inside of a `tf.function`, where `fit` builds, it cannot be read.
        self._inner_config = self.inner_optimizer.get_config()

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        double = type(self.inner_optimizer).from_config(self._inner_config)
        self._slots = slots(double, variables)
        everything = keras.initializers.Constant(MODES.index("all"))
        self.mode = self.add_variable((), everything, dtype="int32", name="update_mode")
        self.masks = [
            self.add_variable(variable.shape, initializer="ones", dtype="bool", name="update_mask")
            for variable in variables
        ]
        if not self.inner_optimizer.built:
            self.inner_optimizer.build(variables)
        super().build(variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """Its own variables and those of the optimizer inside."""
        return [*super().variables, *self.inner_optimizer.variables]

    @property
    def trained_variables(self) -> list[keras.Variable]:
        """The weights that the optimizer was built for, in the order of `masks`."""
        return trained(self)

    def set_masks(self, masks: Sequence[np.ndarray], mode: int) -> None:
        """Say which numbers among the weights learn from now on.

        Args:
            masks: Boolean array for each weight, of its shape.
            mode: Integer, the index in `MODES` to note.
        """
        for variable, mask in zip(self.masks, masks, strict=True):
            variable.assign(mask)
        self.mode.assign(mode)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Update the weights as the optimizer inside does, where the masks allow it."""
        if not self.built:
            with keras.name_scope(self.name):
                self.build(trainable_variables)
        weights, inner = self.trained_variables, self.inner_optimizer.variables
        moving = list(zip(weights, self.masks, map(_copied, weights), strict=True))
        for slot in self._slots:
            kept = weights[slot.of] if slot.is_average else inner[slot.place]
            moving.append((inner[slot.place], self.masks[slot.of], _copied(kept)))
        self.inner_optimizer.apply(grads, trainable_variables)
        for variable, mask, old in moving:
            variable.assign(_chosen(mask, variable, old))

    def stateless_apply(
        self, optimizer_variables: Any, grads: Any, trainable_variables: Any
    ) -> tuple[list[Any], list[Any]]:
        """Give the updated weights and optimizer variables, as in `keras.optimizers.Optimizer`."""
        own = super().variables
        values = dict(zip(map(id, own), optimizer_variables, strict=False))
        masks = [values[id(mask)] for mask in self.masks]
        inner = list(optimizer_variables[len(own) :])
        weights, updated = self.inner_optimizer.stateless_apply(inner, grads, trainable_variables)
        weights = [
            _chosen(mask, new, old)
            for mask, new, old in zip(masks, weights, trainable_variables, strict=True)
        ]
        updated = list(updated)
        for place, of, is_average in self._slots:
            kept = trainable_variables[of] if is_average else inner[place]
            updated[place] = _chosen(masks[of], updated[place], kept)
        return weights, [*map(ops.convert_to_tensor, optimizer_variables[: len(own)]), *updated]

    def finalize_variable_values(self, var_list: Any) -> None:
        """Put moving averages in the places of the weights that learn."""
        variables = self.trained_variables
        before = [_copied(variable) for variable in variables]
        self.inner_optimizer.finalize_variable_values(var_list)
        for variable, mask, old in zip(variables, self.masks, before, strict=True):
            variable.assign(_chosen(mask, variable, old))

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the optimizer inside."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> Any:
        """The steps that the optimizer inside has made."""
        return self.inner_optimizer.iterations

    def scale_loss(self, loss: Any) -> Any:
        """Scale the loss as the optimizer inside asks for."""
        return self.inner_optimizer.scale_loss(loss)

    def get_config(self) -> dict[str, Any]:
        inner = keras.optimizers.serialize(self.inner_optimizer)
        return {"name": self.name, "inner_optimizer": inner}


def _chosen(mask: Any, new: Any, old: Any) -> Any:
    """Take the new value where the mask is true: chosen, not computed, so that all bits stay."""
    return ops.where(*map(ops.convert_to_tensor, (mask, new, old)))


def _copied(variable: keras.Variable) -> Any:
    """Copy a value that PyTorch and TensorFlow would change in its place."""
    return ops.stop_gradient(ops.copy(variable))
