"""A layer that is used in place of the Keras layer inside it, to the last attribute."""

from typing import Any

import keras

from keras_dynamicgate.graph.state import forget_parameters
from keras_dynamicgate.utils.types import PartialShape

# What Keras's own tools read and write of a layer beside its public attributes.
INTERNALS = ("_kernel", "_is_quantized", "_int4_block_size", "_orig_output_dim")


class DropIn(keras.layers.Layer):
    """Base class of layers that have the Keras layer that they are used in place of.

    Whatever such a layer does not have itself, it has from the Keras layer inside: attributes to
    read and to set, methods and the dtype policy. A Keras layer inside that has its name also has
    its path, so that weights are found under the paths that they have without the layer around.

    Attributes:
        inner_name: String, the name of the attribute that holds the Keras layer.
    """

    inner_name: str

    def _inner(self) -> keras.layers.Layer | None:
        """Give the Keras layer inside, `None` while the constructor has not set it."""
        return vars(self).get(self.inner_name) or self._modules_of_torch().get(self.inner_name)

    def _modules_of_torch(self) -> dict[str, Any]:
        # PyTorch keeps layers out of the `__dict__`.
        return vars(self).get("_modules") or {}

    def __getattr__(self, name: str) -> Any:
        of_torch = getattr(super(), "__getattr__", None)
        if of_torch is not None:
            try:
                return of_torch(name)
            except AttributeError:
                pass
        inner = self._inner()
        if inner is not None and _is_shared(name):
            try:
                return getattr(inner, name)
            except AttributeError:
                if hasattr(type(inner), name):
                    raise  # with what has to happen first
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        inner = self._inner()
        if (
            inner is not None
            and _is_shared(name)
            and not self._has_itself(name)
            and (hasattr(type(inner), name) or hasattr(inner, name))
        ):
            setattr(inner, name, value)
        else:
            super().__setattr__(name, value)

    def _has_itself(self, name: str) -> bool:
        return name in vars(self) or name in self._modules_of_torch() or hasattr(type(self), name)

    @property
    def _dtype_policy(self) -> Any:
        """The dtype policy that all of Keras's properties read, that of the Keras layer inside."""
        inner = self._inner()
        return self._own_dtype_policy if inner is None else inner._dtype_policy

    @_dtype_policy.setter
    def _dtype_policy(self, policy: Any) -> None:
        inner = self._inner()
        if inner is None:
            self._own_dtype_policy = policy
        else:
            inner._dtype_policy = policy

    def share_path(self) -> None:
        """Give the Keras layer inside, if it is not built, the path of this layer, that is built.

        Only one that has this layer's name is meant to stand under its path.
        """
        inner = self._inner()
        if inner is not None and inner.name == self.name:
            inner._parent_path = self._parent_path

    def quantized_build(self, input_shape: PartialShape, mode: str, **kwargs: Any) -> None:
        """Add the weights of a quantized layer, as that of the Keras layer does."""
        inner: Any = self._inner()
        inner.quantized_build(input_shape, mode, **kwargs)
        forget_parameters(self)

    def load_own_variables(self, store: Any) -> None:
        """Load weights that the Keras layer has saved by itself, without this layer around it."""
        inner: Any = self._inner()
        # Files of models have nothing here: they keep the weights with the layer that holds them.
        if store.keys():
            inner.load_own_variables(store)
        else:
            super().load_own_variables(store)

    def enable_lora(self, rank: int, *args: Any, **kwargs: Any) -> None:
        """Add a LoRA to the kernel, as that of the Keras layer does."""
        inner: Any = self._inner()
        inner.enable_lora(rank, *args, **kwargs)
        forget_parameters(self)


def _is_shared(name: str) -> bool:
    # Other private names hold what frameworks keep about each object, also some time later.
    return not name.startswith("_") or name in INTERNALS
