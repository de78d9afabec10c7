"""The compiled training step of a model, kept for a later `fit` of the same kind."""

from typing import Any

import keras

KEPT = "_kept_training_step"


def keep_step(model: keras.Model, kind: Any) -> None:
    """Take the training step away from a model, so that the next `fit` compiles another one.

    Args:
        model: A compiled model.
        kind: What tells whether the step does what a later training needs, comparable by `==`.
    """
    vars(model)[KEPT] = (kind, _compiling(model), model.train_function)
    model.train_function = None


def use_step(model: keras.Model, kind: Any) -> None:
    """Give a model the step that was kept of the same kind, or a new one.

    A step that was kept before the model was compiled anew, with another loss or optimizer, is of
    no use.
    """
    kept_kind, compiling, step = vars(model).pop(KEPT, (None, None, None))
    if step is not None and kept_kind == kind and compiling is _compiling(model):
        model.train_function = step
    else:
        _make_step(model)


def _make_step(model: keras.Model) -> None:
    """Have a step compiled that no other one of the model is mistaken for."""
    # JAX takes two bound methods of one object for the same function, and would go on with what it
    # has compiled for the first one as long as that is kept.
    of_model = vars(model).get("train_step")
    step = model.train_step
    vars(model)["train_step"] = lambda *arguments: step(*arguments)
    model.make_train_function(force=True)
    vars(model).pop("train_step")
    if of_model is not None:
        vars(model)["train_step"] = of_model


def _compiling(model: keras.Model) -> Any:
    """Give an object that each call of `compile` makes anew."""
    return getattr(model, "_compile_config", None)
