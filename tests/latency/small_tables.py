"""A small gated model and a latency table of it with literal numbers."""

import keras

import keras_dynamicgate as kdg
from keras_dynamicgate.latency.deployed_cost import DeployedCost
from keras_dynamicgate.latency.product_times import ProductTimes
from keras_dynamicgate.latency.setup import Setup


def two_layers(**arguments):
    """4 inputs and 8 hidden units, all with static gates, and 2 outputs."""
    return keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGate(name="features"),
            kdg.DynamicGateDense(8, "relu", gate="static", block_size=1, name="hidden"),
            keras.layers.Dense(2, name="out"),
        ],
        **arguments,
    )


def table_of(model, hidden=((0.0, 0.0), (0.0, 4.0)), out=((0.0,), (1.0,)), rest=1.0):
    """Milliseconds for nothing and for all of `hidden` and `out` open: 6 with everything open."""
    products = [
        ProductTimes("hidden", 0, (0.0, 1.0), (0.0, 1.0), hidden),
        ProductTimes("out", 0, (0.0, 1.0), (1.0,), out),
    ]
    signatures = DeployedCost(model, "compact").signatures
    return kdg.LatencyTable(products, rest, signatures, Setup.here("compact", 1))


def open_static(layer, mask):
    """Open the static gates of a layer where a mask says so."""
    layer.gate.network.scaled_bias.assign([5.0 if each else -5.0 for each in mask])
