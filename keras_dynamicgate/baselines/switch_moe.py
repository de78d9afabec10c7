"""`SwitchMoE`: a mixture of feed-forward experts of which each token runs the top k."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.baselines import routing
from keras_dynamicgate.baselines.experts import STACKED, MixtureOfExperts, as_positions, as_tokens
from keras_dynamicgate.experts.bank import ExpertBank
from keras_dynamicgate.experts.chosen import ChosenExperts
from keras_dynamicgate.gating import masks
from keras_dynamicgate.utils import checks


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class SwitchMoE(MixtureOfExperts):
    """Feed-forward experts, of which a linear router chooses `top_k` for each token.

    Every position of the input is a token. An expert is Dense, activation, Dense. With `top_k=1`
    its output is multiplied by its router probability, as in Switch Transformers; the weights of
    several experts add up to 1. The router is float32 whatever the dtype policy.

    Without a `capacity_factor` no token is dropped. With one, an expert takes at most
    `ceil(capacity_factor * tokens * top_k / num_experts)` tokens of a batch, in training and at
    inference, so that outputs depend on the rest of the batch. First choices go before second
    ones, then earlier tokens before later ones. What does not fit is dropped: the other experts
    of the token keep their weights, and a token that no expert takes passes through unchanged.

    `count_macs` counts what an implementation would run that sends each token to its own experts
    only: `top_k / num_experts` of the experts, an upper bound if tokens are dropped, and the router
    in the column of the gates. At inference on a CPU the layer does run like that, as models do
    after `skip_experts`, where the number of tokens is known and something is saved. Otherwise, and
    in training, it runs every expert on every token and multiplies by the weight, which is 0 for
    most.

    Args:
        num_experts: Positive integer.
        hidden_units: Positive integer, the hidden units of each expert.
        units: Positive integer, the size of the output. Defaults to `None`: as many as the input
            has features.
        activation: Activation function of the hidden units or its name. Defaults to `"relu"`.
        top_k: Positive integer up to `num_experts`, the experts of each token. Defaults to 1.
        capacity_factor: Float above 0, the room of an expert as a multiple of an equal share of
            the assignments. Defaults to `None`: no limit.
        balance_weight: Float of at least 0 that multiplies the load-balancing loss, which is 1
            if the experts are equally busy. Defaults to 0.01.
        z_weight: Float of at least 0 that multiplies the router z-loss. Defaults to 0.001.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`.
        training: Boolean, whether to add the two losses and to keep the statistics.
        mask: Boolean tensor of shape `(batch, ...)`, false at positions that are padding: they take
            no room in the experts, and losses and statistics leave them out.

    Input shape:
        `(batch, ..., features)`

    Output shape:
        `(batch, ..., units)`

    Attributes:
        token_share: Weight of shape `(num_experts,)`, the share of the tokens of the last training
            batch that each expert took. Adds up to `top_k` where none are dropped.
        dropped_share: Scalar weight, the share of the last training batch's assignments of tokens
            to experts that were dropped.

    Raises:
        ValueError: If an argument is out of range, or if `capacity_factor` is given and
            `units` is not the number of input features.

    Examples:
        >>> layer = keras_dynamicgate.baselines.SwitchMoE(num_experts=4, hidden_units=32)
        >>> tuple(layer(keras.ops.ones((2, 10, 16))).shape)
        (2, 10, 16)

    Reference:

    - Fedus, Zoph and Shazeer, 2021 (arXiv 2101.03961), Switch Transformers
    - Lepikhin et al., 2020 (arXiv 2006.16668), GShard, for the capacity with two experts
    - Zoph et al., 2022 (arXiv 2202.08906), ST-MoE, for the router z-loss
    """

    def __init__(
        self,
        num_experts: int,
        hidden_units: int,
        units: int | None = None,
        activation: str | Callable[..., Any] | None = "relu",
        *,
        top_k: int = 1,
        capacity_factor: float | None = None,
        balance_weight: float = 0.01,
        z_weight: float = 0.001,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_experts, hidden_units, units, activation, **kwargs)
        checks.positive_integer("top_k", top_k)
        if top_k > num_experts:
            raise ValueError(
                f"Argument `top_k` must be at most the number of experts, {num_experts}. "
                f"Received: top_k={top_k!r}"
            )
        if capacity_factor is not None:
            checks.number("capacity_factor", capacity_factor, "above 0 or `None`", lambda f: f > 0)
        checks.number("balance_weight", balance_weight, "of at least 0", lambda w: w >= 0)
        checks.number("z_weight", z_weight, "of at least 0", lambda w: w >= 0)
        self.top_k = top_k
        self.capacity_factor = capacity_factor
        self.balance_weight = balance_weight
        self.z_weight = z_weight

    @property
    def experts_per_token(self) -> int:
        return self.top_k

    def build(self, input_shape: tuple[Any, ...]) -> None:
        features = input_shape[-1]
        if self.capacity_factor is not None and self.units not in (None, features):
            raise ValueError(
                f"Argument `units` must be the number of input features, {features}, because "
                "tokens that are dropped pass through unchanged. Give no `units`, or drop none "
                f"with `capacity_factor=None`. Received: units={self.units!r}, "
                f"capacity_factor={self.capacity_factor!r}"
            )
        super().build(input_shape)
        stacked = {name: getattr(self, name) for name in STACKED}
        bank = ExpertBank(self, MixtureOfExperts.run_experts, takes_weights=True, stacked=stacked)
        self._chosen = ChosenExperts(bank, self.top_k)
        equal_share = self.top_k / self.num_experts
        self.token_share = self._statistic("token_share", equal_share, (self.num_experts,))
        self.dropped_share = self._statistic("dropped_share", 0.0, ())

    def call(self, inputs: Any, training: bool | None = False, mask: Any = None) -> Any:
        tokens = as_tokens(inputs)
        counted = _counted(inputs, mask)
        logits = self.router(tokens)
        chosen, weights, kept = self._assign(logits, counted)
        if training:
            self._charge(logits, chosen, counted)
            self._follow(chosen, kept, counted)
        weight_of_each = ops.sum(ops.multiply(chosen, ops.expand_dims(weights, -1)), axis=1)
        run = self._chosen if self._chosen.pays(tokens) else self.run_experts
        outputs = run(tokens, weight_of_each)
        if self.capacity_factor is not None:
            outputs = ops.where(ops.any(kept, axis=-1, keepdims=True), outputs, tokens)
        return as_positions(outputs, inputs)

    def route(self, inputs: Any, mask: Any = None) -> tuple[Any, Any]:
        """Return the experts of each token and their weights, as `call` uses them.

        Args:
            inputs: Tensor of shape `(batch, ..., features)`.
            mask: Boolean tensor, false at positions that are padding. Defaults to `None`.

        Returns:
            The indices of the experts, first choice first, and their weights, 0 where the token
            was dropped. Both have the shape `(batch, ..., top_k)`, integers and float32.

        Raises:
            ValueError: If the layer is not built.

        Examples:
            >>> layer = keras_dynamicgate.baselines.SwitchMoE(4, 32, top_k=2)
            >>> layer.build((None, 10, 16))
            >>> experts, weights = layer.route(keras.ops.ones((2, 10, 16)))
            >>> tuple(experts.shape)
            (2, 10, 2)
        """
        if not self.built:
            raise ValueError(
                f"Layer {self.name!r} must be built before it can route: call it on inputs or give "
                f"its model a `keras.Input`. Received: built={self.built}"
            )
        # The inputs that `call` sees, so that rounding cannot change the choice.
        inputs = ops.cast(ops.convert_to_tensor(inputs), self.compute_dtype)
        counted = _counted(inputs, mask)
        chosen, weights, _ = self._assign(self.router(as_tokens(inputs)), counted)
        experts = ops.argmax(chosen, axis=-1)
        return as_positions(experts, inputs), as_positions(weights, inputs)

    def _assign(self, logits: Any, counted: Any) -> tuple[Any, Any, Any]:
        """Choose the experts, their weights (0 if dropped) and which choices are kept."""
        chosen, weights = routing.choose_experts(logits, self.top_k)
        if self.capacity_factor is None:
            return chosen, weights, ops.ones_like(weights)
        kept = routing.within_capacity(chosen, counted, self.capacity_factor)
        return chosen, ops.multiply(weights, kept), kept

    def _charge(self, logits: Any, chosen: Any, counted: Any) -> None:
        """Add the losses for unequal load and large logits."""
        balance = routing.balance_loss(logits, chosen, counted)
        size = routing.z_loss(logits, counted)
        loss = ops.add(self.balance_weight * balance, self.z_weight * size)
        self.add_loss(ops.cast(loss, keras.config.floatx()))  # which losses are summed up in

    def _follow(self, chosen: Any, kept: Any, counted: Any) -> None:
        """Record the share of the tokens that each expert took and the share that was dropped."""
        taken = ops.sum(ops.multiply(chosen, ops.expand_dims(kept, -1)), axis=1)
        dropped = ops.subtract(1.0, ops.mean(kept, axis=-1))
        for weight, values in ((self.token_share, taken), (self.dropped_share, dropped)):
            share = routing.mean_over_tokens(values, counted)
            before = ops.convert_to_tensor(weight)
            weight.assign(ops.where(ops.sum(counted) > 0.0, share, before))

    def _statistic(self, name: str, value: float, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.Constant(value),
            dtype="float32",
            trainable=False,
            autocast=False,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "top_k": self.top_k,
            "capacity_factor": self.capacity_factor,
            "balance_weight": self.balance_weight,
            "z_weight": self.z_weight,
        }


def _counted(inputs: Any, mask: Any) -> Any:
    """Give 1 for each token and 0 for each that is padding, of shape `(tokens,)`."""
    shape = ops.shape(inputs)[:-1]
    if mask is None:
        return ops.reshape(ops.ones(shape, "float32"), (-1,))
    return ops.reshape(ops.broadcast_to(masks.of_positions(mask, len(shape)), shape), (-1,))
