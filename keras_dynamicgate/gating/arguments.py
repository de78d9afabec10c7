"""The arguments of gates, once: their names and types, defaults, checks and documentation."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, TypeVar, cast

import keras

from keras_dynamicgate.gating import masks
from keras_dynamicgate.utils import checks

Class = TypeVar("Class", bound=type)


class GateArguments(TypedDict, total=False):
    """How gates decide, keyword arguments of all gated layers.

    Args:
        temperature: Float above 0 that divides the gate logits. Defaults to 1.0.
        threshold: Float between 0 and 1; gates open where their probability exceeds it.
            Defaults to 0.5.
        top_k: Integer, the number of gates to open in place of the threshold. Defaults to `None`.
        estimator: How training makes masks: `"logistic"` (threshold after logistic noise),
            `"threshold"` (no noise), `"bernoulli"` (sampled, as in dropout) or `"soft"` (no mask,
            for ablations). Defaults to `"logistic"`.
        initial_open: Float between 0 and 1, the gate probability at the start. Defaults to 0.9.
        min_open: Float from 0 to 1, the share of the gates that stays open. Defaults to 0.0.
        balance: Float between 0 and 0.5: each gate is open for at least about this share of the
            inputs and closed for at least as many, whatever a budget asks for. Only for gates that
            depend on the input. Defaults to `None`: gates may be open or closed for all inputs.
        usage_regularizer: Regularizer of the gate probabilities, such as `UsagePenalty(0.01)`,
            added to the loss in training. Defaults to `None`.
        seed: Integer that fixes the noise in training. Defaults to `None`, a random one.
    """

    temperature: float
    threshold: float
    top_k: int | None
    estimator: str
    initial_open: float
    min_open: float
    balance: float | None
    usage_regularizer: keras.regularizers.Regularizer | str | dict[str, Any] | None
    seed: int | None


class GatedLayerArguments(GateArguments, total=False):
    """The arguments of gates and those of every Keras layer."""

    name: str | None
    dtype: Any
    trainable: bool
    autocast: bool


DEFAULTS = GateArguments(
    temperature=1.0,
    threshold=0.5,
    top_k=None,
    estimator="logistic",
    initial_open=0.9,
    min_open=0.0,
    balance=None,
    usage_regularizer=None,
    seed=None,
)


def take(arguments: Any) -> GateArguments:
    """Take the arguments of gates out of a dict of keyword arguments.

    Args:
        arguments: Keyword arguments; those of gates are removed from it.

    Returns:
        All arguments of gates, with defaults for those that were not given.
    """
    taken: Any = {name: arguments.pop(name, default) for name, default in DEFAULTS.items()}
    return cast(GateArguments, taken)


def check(arguments: Mapping[str, Any], gates: int | None) -> None:
    """Raise a `ValueError` in Keras's style if an argument of gates is out of range.

    Args:
        arguments: All arguments of gates.
        gates: The number of gates, or `None` if it is not known yet.
    """
    number = functools.partial(_check_number, arguments)
    number("temperature", "above 0", lambda t: t > 0)
    number("threshold", "between 0 and 1", lambda t: 0 < t < 1)
    number("initial_open", "between 0 and 1", lambda p: 0 < p < 1)
    number("min_open", "from 0 to 1", lambda share: 0 <= share <= 1)
    if arguments["balance"] is not None:
        number("balance", "between 0 and 0.5", lambda share: 0 < share < 0.5)
    checks.one_of("estimator", arguments["estimator"], masks.ESTIMATORS)
    if arguments["top_k"] is not None:
        _check_top_k(arguments, gates)


def _check_number(
    arguments: Mapping[str, Any], name: str, allowed: str, is_allowed: Callable[[float], bool]
) -> None:
    checks.number(name, arguments[name], allowed, is_allowed)


def _check_top_k(arguments: Mapping[str, Any], gates: int | None) -> None:
    top_k, min_open = arguments["top_k"], arguments["min_open"]
    checks.top_k(top_k, gates)
    if min_open > 0:
        raise ValueError(
            "Arguments `top_k` and `min_open` exclude each other: `top_k` opens exactly as many "
            f"gates as it says. Received: top_k={top_k!r}, min_open={min_open!r}"
        )
    if arguments["estimator"] == "bernoulli":
        raise ValueError(
            "Argument `top_k` needs an estimator that ranks the gates; 'bernoulli' draws each by "
            f"itself. Use 'logistic' or 'threshold'. Received: top_k={top_k!r}, "
            "estimator='bernoulli'"
        )


def takes_gate_arguments(layer: Class) -> Class:
    """Write the arguments of gates into the signature and the docstring of a layer class.

    Editors and `help` then show them one by one, though the constructor takes them as `**kwargs`.

    Args:
        layer: The class of a layer whose constructor ends in `**kwargs`, and whose docstring says
            so under `Args:`.

    Returns:
        The same class.
    """
    constructor = vars(layer)["__init__"]
    signature = inspect.signature(constructor)
    *parameters, others = signature.parameters.values()
    own = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=GateArguments.__annotations__[name],
        )
        for name, default in DEFAULTS.items()
    ]
    others = others.replace(annotation=Any)
    constructor.__signature__ = signature.replace(parameters=[*parameters, *own, others])
    if layer.__doc__ is not None:  # as it is under `python -OO`
        head, rest = layer.__doc__.split("        **kwargs:", 1)
        layer.__doc__ = f"{head}{documentation()}        **kwargs:{rest}"
    return layer


def documentation() -> str:
    """Give the lines that document the arguments of gates, as they stand in a class docstring."""
    text = GateArguments.__doc__ or ""
    return text.split("    Args:\n", 1)[1].rstrip() + "\n"
