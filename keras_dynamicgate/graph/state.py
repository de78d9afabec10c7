"""The layers inside a layer, and the state that they hold."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import keras
from keras import ops
from keras.src.backend.common import global_state
from keras.src.saving import serialization_lib

from keras_dynamicgate.utils.files import written_at_once


def all_layers(
    layer: keras.layers.Layer, *, include_self: bool = False, recursive: bool = True
) -> list[keras.layers.Layer]:
    """List the layers inside a model or layer, those inside other layers included.

    Unlike `model.layers`, this looks into composite layers as well.

    Args:
        layer: A model or layer.
        include_self: Whether `layer` itself is the first of the list. Defaults to `False`.
        recursive: Whether to look into layers inside layers. Defaults to `True`.

    Returns:
        List of layers.
    """
    return list(layer._flatten_layers(include_self=include_self, recursive=recursive))


def copy_state(layer: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Copy what a layer would write to a file: weights, statistics and vocabularies.

    Unlike `set_weights`, this also makes an adapted `Normalization` use its statistics.

    Args:
        layer: A Keras layer.
        new: A built layer of the same kind and with weights of the same shapes.
    """
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    if store:
        new.load_own_variables({key: ops.convert_to_numpy(store[key]) for key in store})
    if hasattr(layer, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            new.load_assets(folder)


def copy_all_state(layer: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Copy the state of a layer and of all layers inside it, as `copy_state` does of one."""
    pairs = zip(
        all_layers(layer, include_self=True), all_layers(new, include_self=True), strict=True
    )
    for old, other in pairs:
        copy_state(old, other)


def copy_trainable(layer: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Freeze the weights of a copy that are frozen one by one in the original."""
    # The weights of a LoRA come last, and are not there where it has been merged.
    pairs = zip(layer._trainable_variables, new._trainable_variables, strict=False)
    for weight, other in pairs:
        if other.trainable != weight.trainable:
            other.trainable = weight.trainable


def untied(pairs: Iterable[tuple[keras.layers.Layer, keras.layers.Layer]]) -> list[str]:
    """List the weights that are one in the originals and several in their copies.

    Args:
        pairs: Layers and their copies.
    """
    copies: dict[int, keras.Variable] = {}
    found = []
    for layer, new in pairs:
        for weight, other in zip(
            layer._trainable_variables, new._trainable_variables, strict=False
        ):
            if copies.setdefault(id(weight), other) is not other:
                found.append(weight.path)
    return found


def copy_lambda(layer: keras.layers.Lambda) -> keras.layers.Lambda:
    """Copy a `Lambda` with its function, which its config may hold as code."""
    # Keras refuses to load code from a config.
    config = keras.layers.Layer.get_config(layer)
    options = {"output_shape": layer._output_shape, "mask": layer.mask}
    return keras.layers.Lambda(layer.function, arguments=layer.arguments, **options, **config)


def track_instead(
    holder: keras.layers.Layer, old: keras.layers.Layer, new: keras.layers.Layer
) -> None:
    """Make a layer track `new` where it tracked `old`, also if it is built.

    Args:
        holder: The layer that has `old` in one of its attributes.
        old: The layer that it tracks, if it does.
        new: The layer that takes its place.
    """
    # A built layer refuses new layers. Here the number of its layers and their order stay the same,
    # so it need not be unlocked.
    if holder._tracker.is_in_store("layers", old):
        holder._tracker.replace_tracked_value("layers", old, new)


def forget_parameters(holder: keras.layers.Layer) -> None:
    """Make a layer on PyTorch list its parameters anew, those of the layers inside it included."""
    if hasattr(holder, "_torch_params"):
        del holder._torch_params


def why_not_loadable(model: keras.Model) -> str | None:
    """Tell why Keras could not load a model from a file, before it is worth one.

    Args:
        model: A built model.

    Returns:
        The reason, or `None` if the model's config leads to one with weights of the same shapes.
    """
    try:
        with serialization_lib.ObjectSharingScope():
            config = keras.saving.serialize_keras_object(model)
        # How the model was compiled says nothing of its layers.
        config.pop("compile_config", None)
        with serialization_lib.ObjectSharingScope():
            # The code of a `Lambda` is the user's own here.
            loaded = keras.saving.deserialize_keras_object(config, safe_mode=False)
    except Exception as error:
        # Configs of any kind may fail in any way.
        return f"{type(error).__name__}: {error}"
    shapes = [sorted(tuple(weight.shape) for weight in each.weights) for each in (loaded, model)]
    return None if shapes[0] == shapes[1] else "layers inside others are not built or not shared"


def save_at_once(model: keras.Model, path: pathlib.Path) -> None:
    """Write a model to a `.keras` file that appears whole or not at all."""
    # Keras insists on a name that ends with `.keras`. That of a part does not, so that nobody takes
    # it for a whole.
    with (
        written_at_once(path) as part,
        tempfile.TemporaryDirectory(
            prefix=f"{part.name}.", suffix=".part", dir=path.parent
        ) as folder,
    ):
        whole = pathlib.Path(folder) / path.name
        model.save(whole)
        whole.rename(part)


def readable(x: Any) -> Any:
    """Give a PyTorch tensor as one that NumPy can read, without a copy where it can; else `x`."""
    if not callable(getattr(x, "detach", None)):
        return x
    # NumPy cannot read tensors that require a gradient or lie on a GPU, nor bfloat16.
    x = x.detach().cpu()
    return x.float() if x.is_floating_point() else x


def is_training() -> bool:
    """Tell whether the call of a layer that is going on is one of training.

    Layers that take no argument `training` themselves cannot know from their arguments.
    """
    call = global_state.get_global_attribute("current_call_ctx")
    return call is not None and bool(call.get_value("training", False))


def forget_compiled(model: keras.Model) -> None:
    """Make a model compile its functions anew, so that they are those of its layers as they are."""
    for name in ("train_function", "test_function", "predict_function", "generate_function"):
        if hasattr(model, name):
            setattr(model, name, None)


@contextlib.contextmanager
def own_losses() -> Iterator[None]:
    """Keep what other replicas add to losses out of those of this replica.

    The replicas of a `MirroredStrategy` are threads that take turns at each reduction, but a Keras
    layer has a single list for what all of them pass to `add_loss`.
    """
    call = global_state.get_global_attribute("current_call_ctx")
    layers = [] if call is None else all_layers(call.entry_layer, include_self=True)
    losses = [list(layer._losses) for layer in layers]
    yield
    for layer, own in zip(layers, losses, strict=True):
        layer._losses[:] = own
