"""`skip_experts`: a mixture-of-experts model that computes only the experts that were chosen."""

import functools

import keras

from keras_dynamicgate.conversion.expert_banks import BankInModel, expert_banks
from keras_dynamicgate.gating.cost import Flow, Product
from keras_dynamicgate.gating.openness import ShareOpen
from keras_dynamicgate.graph.state import forget_compiled


def skip_experts(model: keras.Model) -> keras.Model:
    """Make a mixture-of-experts model of `keras_hub` compute only the experts that were chosen.

    The models of `keras_hub` compute every expert for every token and multiply by weights that are
    0 for most. Afterwards, the same model gives the same outputs, up to rounding, from the experts
    whose weights are not 0. Its class, weights, methods such as `generate` and what `save` writes
    stay as they are; a file that is loaded computes all experts until it is given to this function
    again.

    Banks of experts are found by what they are: layers of kernels of shape `(experts, inputs,
    outputs)`, beside a router that gives each token a weight for `top_k` of them, whose weighted
    outputs are added up. All experts are computed in training, on accelerators and where the number
    of tokens is not known or so small that nothing is saved.

    Args:
        model: A built model. It is changed.

    Returns:
        The same model.

    Raises:
        ValueError: If the model is not built or has no bank of experts, or if one is of an unknown
            form. The model is as it was.

    Examples:
        A model without experts is refused:

        >>> dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> try:
        ...     keras_dynamicgate.skip_experts(dense)
        ... except ValueError as error:
        ...     print(str(error).split(" has ")[1][:19])
        no bank of experts:
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            "Argument `model` must be a built Keras model. "
            f"Received: model of type {type(model).__name__}"
        )
    banks = expert_banks(model)
    if not banks:
        raise ValueError(
            f"Model {model.name!r} has no bank of experts: no layer of kernels of shape (experts, "
            "inputs, outputs) beside a router. "
            f"Received: model of type {type(model).__name__}"
        )
    for bank in banks:
        _install(bank)
    forget_compiled(model)
    return model


def _install(bank: BankInModel) -> None:
    layer, call = bank.calls()
    # What Keras and others read from the signature stays as it was.
    layer.call = functools.wraps(layer.call)(call)
    bank.layer.cost = functools.partial(_cost, bank)


def _cost(bank: BankInModel, inputs: Flow) -> tuple[list[Product], Flow]:
    """State for the MAC count what one token costs."""
    experts, share = bank.chosen.bank, bank.chosen.top_k / bank.chosen.bank.experts
    product = Product(experts.experts * experts.expert_macs, outputs=ShareOpen(share))
    return [product], Flow(inputs.shape)
