"""`SoftMoE`: a mixture of feed-forward experts that all run."""

from typing import Any

import keras
from keras import ops

from keras_dynamicgate.baselines.experts import MixtureOfExperts, as_positions, as_tokens


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class SoftMoE(MixtureOfExperts):
    """Feed-forward experts that all run, their outputs weighted by the softmax of a linear router.

    Every position of the input is a token. An expert is Dense, activation, Dense. This is the dense
    mixture of Jacobs et al.: it saves nothing, and shows what routing to fewer experts loses. The
    slot form of Puigcerver et al. gives the experts mixtures of tokens, which for a batch of
    vectors would be mixtures of different samples. The router is float32 whatever the dtype policy,
    and counts as a gate network in `count_macs`.

    Args:
        num_experts: Positive integer.
        hidden_units: Positive integer, the hidden units of each expert.
        units: Positive integer, the size of the output. Defaults to `None`: as many as the input
            has features.
        activation: Activation function of the hidden units or its name. Defaults to `"relu"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`.

    Input shape:
        `(batch, ..., features)`

    Output shape:
        `(batch, ..., units)`

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> layer = keras_dynamicgate.baselines.SoftMoE(num_experts=4, hidden_units=32)
        >>> tuple(layer(keras.ops.ones((2, 16))).shape)
        (2, 16)

    Reference:

    - Jacobs, Jordan, Nowlan and Hinton, 1991 (Neural Computation 3), Adaptive Mixtures of Local
      Experts
    - Puigcerver et al., 2023 (arXiv 2308.00951), for the slot form
    """

    def call(self, inputs: Any) -> Any:
        tokens = as_tokens(inputs)
        weights = ops.softmax(self.router(tokens), axis=-1)
        return as_positions(self.run_experts(tokens, weights), inputs)
