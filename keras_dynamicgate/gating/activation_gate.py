"""`ActivationGate`: gates that need no network, from how far a unit is from 0."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Product
from keras_dynamicgate.gating.gate_network import GateNetwork
from keras_dynamicgate.gating.openness import Open
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import PartialShape


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class ActivationGate(GateNetwork):
    """Logits that are the size of a unit less a cut: units that are small anyway are closed.

    For the gate projection of SwiGLU and its like: a unit whose activation is small closes itself
    and the unit that it would be multiplied by. It costs nothing, but the product whose outputs it
    reads runs whole; the others are saved. `gate_model` sets the cut of each layer from calibration
    data, so that it works on a trained model at once.

    In `DynamicGateDense` and `DynamicGateMLP` it reads the units themselves, not the layer's input.
    In a block of units, the mean size counts.

    Args:
        open_ratio: Float above 0 and below 1, the share of the units that the cut leaves open on
            the calibration data. Defaults to 0.5.
        activation: Name of the Keras activation that the units go through after the layer and
            before they are multiplied. Defaults to `"linear"`.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Attributes:
        cut: Non-trainable scalar weight, 0 until it is set: then all units but exact zeros are
            open.

    Raises:
        ValueError: If `open_ratio` is not between 0 and 1.

    Examples:
        >>> gate = keras_dynamicgate.ActivationGate()
        >>> layer = keras_dynamicgate.DynamicGateDense(
        ...     2, kernel_initializer="ones", gate=gate, block_size=1
        ... )
        >>> layer.build((None, 1))
        >>> layer.gate.network.cut.assign(1.0)
        >>> keras.ops.convert_to_numpy(layer(np.array([[0.5], [2.0]]))).tolist()
        [[0.0, 0.0], [2.0, 2.0]]

    Reference:

    - CATS (arXiv 2404.08763), thresholds on the gate projection
    """

    reads_outputs = True

    def __init__(self, open_ratio: float = 0.5, activation: str = "linear", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.number("open_ratio", open_ratio, "between 0 and 1", lambda share: 0 < share < 1)
        self.open_ratio = open_ratio
        self.activation = activation

    def build(self, input_shape: PartialShape) -> None:
        self.cut = self.add_weight(name="cut", shape=(), initializer="zeros", trainable=False)

    def sizes(self, units: Any) -> Any:
        """Give how far each block of units is from 0, of shape `(..., gates)`."""
        sizes = ops.abs(keras.activations.get(self.activation)(ops.cast(units, "float32")))
        block_size = self.units // self.gates
        if block_size == 1:
            return sizes
        return ops.mean(ops.reshape(sizes, (*ops.shape(sizes)[:-1], -1, block_size)), axis=-1)

    def open_share_of(self, sizes: Any) -> None:
        """Set the cut so that `open_ratio` of some sizes are above it.

        Args:
            sizes: NumPy array, what `sizes` gives for units on data.
        """
        self.cut.assign(np.quantile(sizes, 1.0 - self.open_ratio))

    def call(self, inputs: Any) -> Any:
        return ops.subtract(self.sizes(inputs), self.cut)

    def products(self, shape: tuple[int, ...], inputs_open: Open | None) -> list[Product]:
        return []

    def get_config(self) -> dict[str, Any]:
        own = {"open_ratio": self.open_ratio, "activation": self.activation}
        return {**super().get_config(), **own}
