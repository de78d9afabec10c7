"""A layer seen with other values in some of its attributes."""

import types
from typing import Any

import keras


class View:
    """Stands for a layer in its own methods, with other values in some of its attributes.

    The layer itself stays as it is, so that views of one layer can be used at the same time.

    Args:
        layer: A Keras layer.
        values: Dict from names of attributes to what they are in the view.

    Examples:
        >>> layer = keras.layers.Dense(2, use_bias=False)
        >>> layer.build((None, 1))
        >>> view = View(layer, {"units": 3})
        >>> (view.units, view.use_bias, layer.units)
        (3, False, 2)
    """

    def __init__(self, layer: keras.layers.Layer, values: dict[str, Any]) -> None:
        self._layer = layer
        self._values = values

    def __getattr__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        method = getattr(type(self._layer), name, None)
        if isinstance(method, types.FunctionType):
            return types.MethodType(method, self)
        return getattr(self._layer, name)
