"""The part that every gated layer has: from its input to the mask of its blocks."""

import math
from typing import Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating import arguments, masks, networks, record, replicas
from keras_dynamicgate.gating.arguments import GatedLayerArguments, takes_gate_arguments
from keras_dynamicgate.gating.balance import LogitBalance
from keras_dynamicgate.gating.budget import INITIAL_STATE, PLAN_SIZE, BudgetController
from keras_dynamicgate.gating.gate_network import GateNetwork
from keras_dynamicgate.gating.openness import GateOpen
from keras_dynamicgate.gating.penalties import TargetUsage, UsagePenalty
from keras_dynamicgate.gating.price_table import PriceTable
from keras_dynamicgate.gating.shadow import Shadow
from keras_dynamicgate.graph.loops import compiled_loop_around
from keras_dynamicgate.graph.unsaved import UnsavedWeight
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import PartialShape

# The weights of a `Gate`, besides those of its network, that have an entry for each gate.
PER_GATE = ("usage", "open_ratio", "logit_mean", "logit_deviation", "forced_open")


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
@takes_gate_arguments
class Gate(keras.layers.Layer):
    """Decides for each input which gates are open, and charges for it in training.

    The gated layers build and call it. Its output is the straight-through mask: exactly 0 or 1 in
    float32 whatever the dtype policy, with the gradient of the gate probability. Everything that a
    callback may change while the model trains is a non-trainable weight, so that the compiled
    step sees the change and a saved model keeps it.

    Args:
        network: Name of a gate network or a `GateNetwork`.
        gates: Integer, the number of gates, or `None` if it is set before the build.
        block_size: Integer, the units that share one gate. Defaults to 1.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Attributes:
        usage: Weight of shape `(gates,)`, mean probability of each gate in the last training batch.
        open_ratio: Weight of shape `(gates,)`, mean of the deterministic mask of each gate in the
            last training batch.
        penalty: Scalar weight, what the last training step was charged.
        penalty_scale: Scalar weight that multiplies the usage regularizer.
        noise_scale: Scalar weight from 0 to 1, the share of the noise of `estimator="logistic"`
            that a budget leaves while it trains; without one the noise is all there.
        price: Scalar weight that is taken from every logit, in units of the temperature: set by a
            budget, 0 without one.
        pressure: Scalar weight, the penalty that a budget puts on usage.
        budget_state: Weight of shape `(4,)`, what the controller of a budget remembers.
        budget_plan: Layer that holds the `BudgetPlan` of the training that runs, which is not
            saved.
        shadow: The `Shadow`: which gates a training step opens besides, where an update mode of
            `keras_dynamicgate.plasticity` says so.
        price_table: Layer that holds a price for each budget of a training for several; files hold
            it where there are any.
        logit_balance: The `LogitBalance`, or `None` without the argument `balance`.
        budget: The `BudgetController` of the training that runs, or `None`.

    Raises:
        ValueError: If an argument is outside what is allowed.
    """

    def __init__(
        self,
        network: GateNetwork | str | dict[str, Any],
        gates: int | None = None,
        *,
        block_size: int = 1,
        **kwargs: Unpack[GatedLayerArguments],
    ) -> None:
        taken = arguments.take(kwargs)
        super().__init__(dtype="float32", **kwargs)
        self.supports_masking = True
        arguments.check(taken, gates)
        self.gates = gates or 0  # some layers know it only when they are built
        self.block_size = block_size
        self.initial_temperature = taken["temperature"]
        self.initial_threshold = taken["threshold"]
        self.top_k = taken["top_k"]
        self.estimator = taken["estimator"]
        self.initial_open = taken["initial_open"]
        self.min_open = taken["min_open"]
        self.usage_regularizer = keras.regularizers.get(taken["usage_regularizer"])
        self.network = networks.get(network)
        self.balance = taken["balance"]
        if self.balance is not None and not self.input_dependent:
            raise ValueError(
                "Argument `balance` is for gates that depend on the input. Received: "
                f"balance={self.balance!r} with a gate network {type(self.network).__name__}"
            )
        self.logit_balance: LogitBalance | None = None
        self.seed = taken["seed"]
        self.seed_generator = None
        if self.estimator in ("bernoulli", "logistic"):
            self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.budget_plan = UnsavedWeight(PLAN_SIZE, name="budget_plan")
        self.shadow = Shadow(name="shadow")
        self.price_table = PriceTable(name="price_table")
        self.budget: BudgetController | None = None

    @property
    def input_dependent(self) -> bool:
        """Whether the gates differ from input to input."""
        return self.network.input_dependent

    def build(self, input_shape: PartialShape) -> None:
        if self.top_k is not None:
            checks.top_k(self.top_k, self.gates)
        odds = self.initial_open / (1.0 - self.initial_open)
        self.network.configure(
            gates=self.gates,
            units=self.gates * self.block_size,
            initial_logit=self.initial_temperature * math.log(odds),
        )
        self.network.build(input_shape)
        if self.balance is not None:
            self.logit_balance = LogitBalance(self.gates, self.balance)
            self.logit_balance.build(self.network.compute_output_shape(input_shape))
        self.temperature = self._state("temperature", self.initial_temperature)
        self.threshold = self._state("threshold", self.initial_threshold)
        self.penalty_scale = self._state("penalty_scale", 1.0)
        self.noise_scale = self._state("noise_scale", 1.0)
        self.usage = self._state("usage", self.initial_open, (self.gates,))
        self.open_ratio = self._state("open_ratio", 1.0, (self.gates,))
        self.penalty = self._state("penalty", 0.0)
        self.price = self._state("price", 0.0)
        self.pressure = self._state("pressure", 0.0)
        self.budget_state = self._state("budget_state", INITIAL_STATE, (len(INITIAL_STATE),))
        self.budget_plan.build()
        self.shadow.build((self.gates,))
        self.price_table.build()

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        if training:
            self._refuse_compiled_loop()
        price = self.price
        if training and self.budget is not None:
            self.budget.step(self)
            price = self.budget.price(self)
        logits = self._logits(inputs, price, training, mask)
        probability = masks.gate_probability(logits, self.temperature)
        decided = self._hard_mask(logits, probability)
        if not training:
            record.note(self, probability, decided, self._weights(probability, mask))
            return decided
        weights = self._weights(probability, mask)
        if self.trainable or self.budget is not None:  # which counts what frozen gates leave open
            self._follow(probability, decided, weights)
        self._charge(probability, weights)
        if self.trainable:
            drawn = self._training_mask(logits, probability, ops.shape(inputs))
        else:
            drawn = masks.straight_through(decided, probability)
        return self.shadow(drawn, decided, probability)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return self.network.compute_output_shape(input_shape)

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """Never recompute gates: they would set their weights, and draw their noise, twice."""
        return layer_call

    def static_decision(self) -> tuple[np.ndarray, np.ndarray]:
        """Give what static gates decide for every input, as arrays of shape `(gates,)`.

        Returns:
            The gate probabilities and the mask of zeros and ones.
        """
        with record.record_gates() as decided:
            self(np.zeros((1, 1), "float32"))
        return decided.probabilities()[self].reshape(-1), decided.masks()[self].reshape(-1)

    def static_mask(self) -> np.ndarray:
        """Give the mask of static gates as a boolean array of shape `(gates,)`."""
        return self.static_decision()[1] > 0

    def balancing(self) -> tuple[np.ndarray, np.ndarray]:
        """Give what balance and price do to the output of the gate network in inference.

        Returns:
            Two arrays of shape `(gates,)`: the factor, and what is added then.
        """
        assert self.logit_balance is not None
        numbers = (self.temperature, self.price, self.network.bias)
        temperature, price, bias = (ops.convert_to_numpy(each) for each in numbers)
        scaled = bias / temperature
        factor, added = map(ops.convert_to_numpy, self.logit_balance.affine(scaled - price))
        return factor, (added - factor * scaled) * temperature

    def opening(self, shape: tuple[int, ...]) -> GateOpen:
        """Describe for the MAC count which units of an output are open, given the input's shape."""
        dependent = self.input_dependent
        return GateOpen(self, self.block_size, dependent, dependent and len(shape) > 1)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        del config["dtype"]  # always float32
        return {
            **config,
            "network": networks.serialize(self.network),
            "gates": self.gates or None,
            "block_size": self.block_size,
            "temperature": self.initial_temperature,
            "threshold": self.initial_threshold,
            "top_k": self.top_k,
            "estimator": self.estimator,
            "initial_open": self.initial_open,
            "min_open": self.min_open,
            "balance": self.balance,
            "usage_regularizer": keras.regularizers.serialize(self.usage_regularizer),
            "seed": self.seed,
        }

    def _state(self, name: str, value: Any, shape: tuple[int, ...] = ()) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            autocast=False,
        )

    def _logits(self, inputs: Any, price: Any, training: bool, mask: Any) -> Any:
        """Give the logits after the price of a budget and, if asked for, balanced."""
        logits = self.network(inputs)
        if self.logit_balance is None:
            return ops.subtract(logits, ops.multiply(price, self.temperature))
        bias = self.network.bias
        balanced = self.logit_balance(
            ops.divide(ops.subtract(logits, bias), self.temperature),
            ops.subtract(ops.divide(bias, self.temperature), price),
            training=training,
            weights=self._weights(logits, mask),
        )
        return ops.multiply(balanced, self.temperature)

    def _hard_mask(self, logits: Any, probability: Any) -> Any:
        return masks.hard_mask(
            logits,
            probability,
            threshold=self.threshold,
            top_k=self.top_k,
            min_open=self.min_open,
        )

    def _training_mask(self, logits: Any, probability: Any, input_shape: tuple[Any, ...]) -> Any:
        """Make the mask of a training step by the estimator that was asked for."""
        if self.estimator == "soft":
            return probability
        # Static gates draw anew for each sample, too: that is what makes them a dropout. But a unit
        # that they close is closed at all positions.
        positions = input_shape[1:-1]
        if not self.input_dependent:
            positions = (1,) * len(positions)
        shape = (*input_shape[:1], *positions, self.gates)
        if self.estimator == "bernoulli":
            mask = masks.bernoulli_mask(probability, shape, self.seed_generator)
            mask = masks.keep_open(mask, logits, self.min_open)
            return masks.straight_through(mask, probability)
        if self.estimator == "logistic":
            return self._logistic_mask(logits, probability, shape)
        return masks.straight_through(self._hard_mask(logits, probability), probability)

    def _logistic_mask(self, logits: Any, probability: Any, shape: tuple[Any, ...]) -> Any:
        """Decide after logistic noise on the logits, with the gradient of where it has led."""
        # Without a budget, what an earlier one has left behind says nothing.
        scale = 1.0 if self.budget is None else ops.convert_to_tensor(self.noise_scale)
        ranked = self.top_k is not None or bool(self.min_open)
        uniform = masks.uniform_noise(shape, self.seed_generator, scale, ranked)
        noisy = ops.stop_gradient(masks.noisy_probability(probability, uniform))
        if ranked:  # for ranks, probabilities are too coarse
            noise = ops.multiply(self.temperature, masks.logistic_noise(uniform))
            decided = self._hard_mask(ops.add(logits, noise), noisy)
        else:
            decided = masks.threshold_mask(noisy, self.threshold)
        return masks.straight_to_logits(decided, noisy, ops.divide(logits, self.temperature))

    def _refuse_compiled_loop(self) -> None:
        loop = compiled_loop_around(self)
        if loop is not None:
            raise ValueError(
                "Gates cannot be trained on JAX inside the cell of a recurrent layer, because what "
                "they measure would not leave its loop. Give the layer `unroll=True`, gate the "
                f"layers around it or take another backend. Received: {loop.name!r} of type "
                f"{type(loop).__name__} with a gate in its cell"
            )

    def _weights(self, probability: Any, mask: Any) -> Any:
        """Give 1 for the positions that count and 0 for padding, or `None` if all of them count."""
        if mask is None or not self.input_dependent:
            return None  # static gates are the same at all positions
        return masks.of_positions(mask, len(probability.shape))

    def _follow(self, probability: Any, decided: Any, weights: Any) -> None:
        """Keep the usage and the deterministic open ratio of each gate in the batch."""
        positions = tuple(range(len(probability.shape) - 1))
        means = [
            ops.stop_gradient(replicas.mean(values, positions, weights))
            for values in (probability, decided)
        ]
        followed = (self.usage, self.open_ratio)
        if not replicas.all_count(probability, weights):
            counted = replicas.mean(ops.ones_like(probability), weights=weights)
            means = [
                ops.where(counted > 0.0, mean, ops.convert_to_tensor(weight))  # without samples
                for mean, weight in zip(means, followed, strict=True)
            ]
        for weight, mean in zip(followed, means, strict=True):
            weight.assign(mean)

    def _charge(self, probability: Any, weights: Any) -> None:
        """Add what the regularizer and the budget ask for open gates to the loss."""
        if not self.trainable or (self.usage_regularizer is None and self.budget is None):
            self.penalty.assign(0.0)  # also where a checkpoint of another training remembers one
            return
        penalty = 0.0
        if self.usage_regularizer is not None:
            penalty = ops.multiply(self.penalty_scale, self._regularize(probability, weights))
        if self.budget is not None:
            mean = replicas.mean(probability, weights=weights)
            penalty = ops.add(penalty, ops.multiply(self.pressure, mean))
        self.add_loss(ops.cast(penalty, keras.config.floatx()))  # which losses are summed up in
        self.penalty.assign(ops.stop_gradient(penalty))

    def _regularize(self, probability: Any, weights: Any) -> Any:
        size = replicas.count(probability, weights)
        if isinstance(self.usage_regularizer, (UsagePenalty, TargetUsage)):
            if weights is not None:
                positions = tuple(range(len(probability.shape) - 1))
                probability = replicas.mean(probability, positions, weights)
            return self.usage_regularizer(probability)
        if weights is not None:
            probability = ops.multiply(probability, weights)
        # Keras's own regularizers are sums.
        return replicas.mean_of_sum(self.usage_regularizer(probability), size)
