"""Gate networks: Keras layers that turn a layer's input into one logit per gate."""

import inspect
import math

import keras
from keras import ops

from keras_dynamicgate.gating import checks
from keras_dynamicgate.gating.cost import Product, positions
from keras_dynamicgate.gating.openness import Open

AUTO_RANK_SHARE = 0.04
AUTO_RANK_LIMIT = 16
UP_STDDEV = 0.1
PACKAGE = "keras_dynamicgate"

# Under Adam and its like every weight moves about one learning rate a step, too slowly for a logit
# that has to travel from +2 to -5. What is stored is a tenth of the bias, so that it moves ten
# times as fast; Keras optimizers have no learning rates by group.
BIAS_SCALE = 10.0
STATIC_SPREAD = 0.3


class GateNetwork(keras.layers.Layer):
    """Base class of the gate networks: from a layer's input to gate logits, always in float32.

    A gate network is given to a gated layer with the argument `gate`. The gated layer works on a
    copy of its own, so that one object can be given to several layers. To write another gate
    network, override `build` (create the weights, among them the bias from `add_logit_bias`),
    `call` (logits of shape `(..., gates)`), `products` (what one sample costs) and `get_config`.

    Attributes:
        gates: Integer, the number of gates, set by the gated layer before the build.
        units: Integer, the number of units that the gates control, set likewise.
        initial_logit: Float, the logit that every gate starts from, set likewise.

    Examples:
        Gates that see only how large the input is:

        >>> @keras.saving.register_keras_serializable()
        ... class NormGate(keras_dynamicgate.gating.networks.GateNetwork):
        ...     def build(self, input_shape):
        ...         self.add_logit_bias()
        ...     def call(self, inputs):
        ...         return keras.ops.norm(inputs, axis=-1, keepdims=True) + self.bias
        ...     def products(self, shape, inputs_open):
        ...         return []  # no matrix product, so nothing to count
        >>> layer = keras_dynamicgate.DynamicGateDense(64, gate=NormGate())
        >>> tuple(layer(keras.ops.ones((2, 64))).shape)
        (2, 64)
    """

    input_dependent = True

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.supports_masking = True
        self.gates: int | None = None
        self.units: int | None = None
        self.initial_logit = 0.0

    def configure(self, *, gates, units, initial_logit):
        """Receive from the gated layer what the weights' shapes and starting values depend on."""
        self.gates = gates
        self.units = units
        self.initial_logit = initial_logit

    def add_logit_bias(self, spread=0.0):
        """Create the weight `scaled_bias`, such that all gates open as far as was asked.

        Args:
            spread: Float from 0 to 1, how far single gates may start from `initial_logit`, as a
                share of it. Defaults to 0.0.
        """
        start = self.initial_logit / BIAS_SCALE
        reach = spread * abs(start)
        self.scaled_bias = self.add_weight(
            name="scaled_bias",
            shape=(self.gates,),
            initializer=keras.initializers.RandomUniform(start - reach, start + reach),
        )

    @property
    def bias(self):
        """The bias of the logits, of shape `(gates,)`: 10 times the weight `scaled_bias`."""
        return ops.multiply(self.scaled_bias, BIAS_SCALE)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.gates)

    def products(self, shape, inputs_open: Open | None) -> list[Product]:
        """List the matrix products that the logits of one sample take.

        Args:
            shape: Tuple of integers, the input's shape without the batch axis.
            inputs_open: Which input features are open, `None` if all are.

        Returns:
            The products, marked as gate products; an empty list if there are none.
        """
        raise NotImplementedError

    def get_config(self):
        config = super().get_config()
        del config["dtype"]  # always float32
        return config


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

    def build(self, input_shape):
        # Gates that all start alike close and open all at once when a budget presses on them.
        self.add_logit_bias(spread=STATIC_SPREAD)

    def call(self, inputs):
        return ops.reshape(self.bias, (1,) * (len(inputs.shape) - 1) + (self.gates,))

    def compute_output_shape(self, input_shape):
        return (1,) * (len(input_shape) - 1) + (self.gates,)

    def products(self, shape, inputs_open):
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

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.gates), initializer="glorot_uniform"
        )
        self.add_logit_bias()

    def call(self, inputs):
        return ops.add(ops.matmul(inputs, self.kernel), self.bias)

    def products(self, shape, inputs_open):
        return [gate_product(shape, self.gates, inputs_open)]


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

    def __init__(self, rank=None, **kwargs):
        super().__init__(**kwargs)
        if rank is not None:
            checks.positive_integer("rank", rank)
        self.rank = rank

    def build(self, input_shape):
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

    def call(self, inputs):
        return ops.add(ops.matmul(ops.matmul(inputs, self.down_kernel), self.up_kernel), self.bias)

    def products(self, shape, inputs_open):
        return two_gate_products(shape, self.chosen_rank, self.gates, inputs_open)

    def get_config(self):
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

    def __init__(self, hidden_units=16, **kwargs):
        super().__init__(**kwargs)
        checks.positive_integer("hidden_units", hidden_units)
        self.hidden_units = hidden_units

    def build(self, input_shape):
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

    def call(self, inputs):
        hidden = ops.relu(ops.add(ops.matmul(inputs, self.hidden_kernel), self.hidden_bias))
        return ops.add(ops.matmul(hidden, self.kernel), self.bias)

    def products(self, shape, inputs_open):
        return two_gate_products(shape, self.hidden_units, self.gates, inputs_open)

    def get_config(self):
        return {**super().get_config(), "hidden_units": self.hidden_units}


def gate_product(shape, outputs, inputs_open):
    """Describe the product of a gate network's input with a kernel of `outputs` columns."""
    macs = positions(shape) * shape[-1] * outputs
    return Product(macs, inputs=inputs_open, of_gate=True)


def two_gate_products(shape, hidden, gates, inputs_open):
    """Describe the products of a gate network with one hidden layer, linear or not."""
    return [
        gate_product(shape, hidden, inputs_open),
        gate_product((*shape[:-1], hidden), gates, None),
    ]


def automatic_rank(inputs, units, gates):
    """Choose the rank of a `LowRankGate` so that it costs 4 % of what it gates, at most 16."""
    affordable = math.floor(AUTO_RANK_SHARE * inputs * units / (inputs + gates))
    return max(1, min(AUTO_RANK_LIMIT, affordable))


NETWORKS = {
    "static": StaticGate,
    "linear": LinearGate,
    "low_rank": LowRankGate,
    "mlp": MLPGate,
}


def get(gate):
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
        return type(gate).from_config(config)
    if isinstance(gate, str) and gate in NETWORKS:
        return NETWORKS[gate]()
    known = ", ".join(repr(name) for name in NETWORKS)
    raise ValueError(
        f"Argument `gate` must be one of {known} or a gate network such as "
        f"`keras_dynamicgate.LowRankGate(rank=8)`. Received: gate={gate!r}"
    )


def _check_config(gate, config):
    """Raise if copying a network by its config would lose constructor arguments."""
    parameters = inspect.signature(type(gate).__init__).parameters.values()
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    if missing := sorted(named - {"self"} - set(config)):
        raise ValueError(
            f"Gate network {type(gate).__name__} must return its arguments in `get_config`, "
            f"because each gated layer works on a copy. Received: a config without {missing}"
        )


def serialize(gate):
    """Turn the argument `gate` of a gated layer into what its config can hold."""
    if isinstance(gate, GateNetwork):
        return keras.saving.serialize_keras_object(gate)
    return gate
