"""The gate networks that gated layers know by name."""

import inspect
import math
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.gating.activation_gate import ActivationGate
from keras_dynamicgate.gating.gate_network import AffineMap, GateNetwork
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import PartialShape

AUTO_RANK_SHARE = 0.04
AUTO_RANK_LIMIT = 16
UP_STDDEV = 0.1
STATIC_SPREAD = 0.3
PACKAGE = "keras_dynamicgate"


@keras.saving.register_keras_serializable(package=PACKAGE)
class StaticGate(GateNetwork):
    """Logits that are free parameters, the same for all inputs: learned structural dropout.

    They start a little apart from each other, so that a budget closes them one by one. With
    `block_size=1` they cost no more than with blocks, and budgets are met more closely.

    Costs nothing at inference, and what it closes `compact` can remove. The weight is a tenth of
    the logit's bias, here and in the other gate networks, so that logits move ten times as fast
    under Adam and its like; under plain SGD it is a hundred times, so use a smaller learning rate.

    Args:
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(64, gate=keras_dynamicgate.StaticGate())
        >>> tuple(layer(keras.ops.ones((2, 64))).shape)
        (2, 64)

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), structural gates
    """

    input_dependent = False

    def build(self, input_shape: PartialShape) -> None:
        # Gates that all start alike close and open all at once when a budget presses on them.
        self.add_logit_bias(spread=STATIC_SPREAD)

    def call(self, inputs: Any) -> Any:
        return ops.reshape(self.bias, (1,) * (len(inputs.shape) - 1) + (self.gates,))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return (1,) * (len(input_shape) - 1) + (self.gates,)

    def chain(self) -> list[AffineMap]:
        return []


@keras.saving.register_keras_serializable(package=PACKAGE)
class LinearGate(GateNetwork):
    """Logits that are one linear map of the input: `z = x W + b`.

    Costs `inputs * gates` multiply-accumulates per position.

    Args:
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(64, gate="linear", block_size=16)
        >>> tuple(layer(keras.ops.ones((2, 64))).shape)
        (2, 64)

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), input-dependent gates
    """

    def build(self, input_shape: PartialShape) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.gates), initializer="glorot_uniform"
        )
        self.add_logit_bias()

    def chain(self) -> list[AffineMap]:
        return [self.logit_map(self.kernel)]


@keras.saving.register_keras_serializable(package=PACKAGE)
class LowRankGate(GateNetwork):
    """Logits that are a linear map of low rank: `z = (x A) B + b`, the default.

    Costs `rank * (inputs + gates)` multiply-accumulates per position. Without a `rank` it takes
    the largest one, up to 16, whose cost stays within 4 % of the `inputs * units` that a dense
    layer with these gates takes, and at least 1.

    Args:
        rank: Integer, the number of columns of `A`. Defaults to `None`: chosen from the shapes.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `rank` is not a positive integer.

    Examples:
        >>> gate = keras_dynamicgate.LowRankGate(rank=4)
        >>> layer = keras_dynamicgate.DynamicGateDense(64, gate=gate)
        >>> tuple(layer(keras.ops.ones((2, 64))).shape)
        (2, 64)
    """

    def __init__(self, rank: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if rank is not None:
            checks.positive_integer("rank", rank)
        self.rank = rank

    def build(self, input_shape: PartialShape) -> None:
        inputs = input_shape[-1]
        self.chosen_rank = self.rank or automatic_rank(inputs, self.units, self.gates)
        self.down_kernel = self.add_weight(
            name="down_kernel", shape=(inputs, self.chosen_rank), initializer="glorot_uniform"
        )
        self.up_kernel = self.add_weight(
            name="up_kernel",
            shape=(self.chosen_rank, self.gates),
            initializer=keras.initializers.RandomNormal(stddev=UP_STDDEV),
        )
        self.add_logit_bias()

    def chain(self) -> list[AffineMap]:
        return [AffineMap(self.down_kernel), self.logit_map(self.up_kernel)]

    def built_config(self) -> dict[str, Any]:
        return {**self.get_config(), "rank": self.chosen_rank}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rank": self.rank}


@keras.saving.register_keras_serializable(package=PACKAGE)
class MLPGate(GateNetwork):
    """Logits from a hidden layer with ReLU: `z = relu(x A + a) B + b`.

    Costs `hidden_units * (inputs + gates)` multiply-accumulates per position. A hidden layer as
    wide as the gated layer costs more than the gates can save.

    Args:
        hidden_units: Integer, the width of the hidden layer. Defaults to 16.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `hidden_units` is not a positive integer.

    Examples:
        >>> gate = keras_dynamicgate.MLPGate(hidden_units=8)
        >>> layer = keras_dynamicgate.DynamicGateDense(64, gate=gate)
        >>> tuple(layer(keras.ops.ones((2, 64))).shape)
        (2, 64)

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), the gate network of the input-dependent variant
    """

    def __init__(self, hidden_units: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.positive_integer("hidden_units", hidden_units)
        self.hidden_units = hidden_units

    def build(self, input_shape: PartialShape) -> None:
        self.hidden_kernel = self.add_weight(
            name="hidden_kernel",
            shape=(input_shape[-1], self.hidden_units),
            initializer="glorot_uniform",
        )
        self.hidden_bias = self.add_weight(
            name="hidden_bias", shape=(self.hidden_units,), initializer="zeros"
        )
        self.kernel = self.add_weight(
            name="kernel", shape=(self.hidden_units, self.gates), initializer="glorot_uniform"
        )
        self.add_logit_bias()

    def chain(self) -> list[AffineMap]:
        hidden = AffineMap(self.hidden_kernel, self.hidden_bias, "relu")
        return [hidden, self.logit_map(self.kernel)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden_units": self.hidden_units}


def automatic_rank(inputs: int, units: int, gates: int) -> int:
    """Choose the rank of a `LowRankGate` so that it costs 4 % of what it gates, at most 16."""
    affordable = math.floor(AUTO_RANK_SHARE * inputs * units / (inputs + gates))
    return max(1, min(AUTO_RANK_LIMIT, affordable))


NETWORKS = {
    "static": StaticGate,
    "linear": LinearGate,
    "low_rank": LowRankGate,
    "mlp": MLPGate,
    "activation": ActivationGate,
}


def get(gate: GateNetwork | str | dict[str, Any]) -> GateNetwork:
    """Turn the argument `gate` of a gated layer into a gate network of the layer's own.

    Args:
        gate: One of the names in `NETWORKS`, a `GateNetwork`, which is copied, or what
            `serialize` made of one.

    Returns:
        A new, unbuilt `GateNetwork`.

    Raises:
        ValueError: If the name is unknown or the object is no gate network.
    """
    if isinstance(gate, dict):
        gate = keras.saving.deserialize_keras_object(gate)
    if isinstance(gate, GateNetwork):
        config = gate.get_config()
        _check_config(gate, config)
        config.pop("name")
        copy: GateNetwork = type(gate).from_config(config)
        return copy
    if isinstance(gate, str) and gate in NETWORKS:
        return NETWORKS[gate]()
    known = ", ".join(repr(name) for name in NETWORKS)
    raise ValueError(
        f"Argument `gate` must be one of {known} or a gate network such as "
        f"`keras_dynamicgate.LowRankGate(rank=8)`. Received: gate={gate!r}"
    )


def _check_config(gate: GateNetwork, config: dict[str, Any]) -> None:
    """Raise if copying a network by its config would lose constructor arguments."""
    parameters = inspect.signature(type(gate).__init__).parameters.values()
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    if missing := sorted(named - {"self"} - set(config)):
        raise ValueError(
            f"Gate network {type(gate).__name__} must return its arguments in `get_config`, "
            f"because each gated layer works on a copy. Received: a config without {missing}"
        )


def serialize(gate: GateNetwork | str | dict[str, Any] | None) -> Any:
    """Turn the argument `gate` of a gated layer into what its config can hold."""
    if isinstance(gate, GateNetwork):
        return keras.saving.serialize_keras_object(gate)
    return gate
