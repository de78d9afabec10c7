"""The training that each engine repeats on several devices, and everything it leads to."""

import warnings

import keras
import numpy as np
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.baselines import (
    MagnitudePrunedDense,
    MagnitudePruning,
    RigLDense,
    RigLUpdate,
)
from keras_dynamicgate.gating.record import record_gates
from keras_dynamicgate.layers.gated_layer import gated_layers

STEPS = 20
SAMPLES = 32
FOLLOWED = ("usage", "open_ratio", "penalty", "price", "pressure", "budget_state")

RANDOM = np.random.default_rng(0)
# The samples grow, so that a part of a batch has other means than the rest.
X = np.linspace(0.2, 3.0, SAMPLES)[:, None] * RANDOM.normal(size=(SAMPLES, 12))
X = X.astype("float32")
Y = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0)


def build_model(estimator="threshold"):
    """Build a gated model with one penalty of each kind, the same in each process."""
    keras.utils.set_random_seed(0)
    gates = {"estimator": estimator, "initial_open": 0.55}
    inputs = keras.Input((12,))
    x = keras.layers.Dense(12, "tanh", activity_regularizer="l2")(inputs)
    x = kdg.DynamicGate(**gates, usage_regularizer=kdg.UsagePenalty(0.1))(x)
    x = RigLDense(16, "relu", sparsity=0.5)(x)
    penalty = kdg.TargetUsage(0.4, weight=0.4, mode="squared")
    gates["gate"] = "linear"
    x = kdg.DynamicGateDense(16, "relu", block_size=4, **gates, usage_regularizer=penalty)(x)
    x = kdg.DynamicGate(block_size=2, **gates, usage_regularizer=keras.regularizers.L2(0.1))(x)
    x = kdg.DynamicGateMLP(16, 8, "gelu", gated_linear=True, block_size=4, balance=0.2, **gates)(x)
    x = gate_a_model(keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, "relu")]), gates)(x)
    model = keras.Model(inputs, MagnitudePrunedDense(4)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.03, momentum=0.5), loss)
    return model


def gate_a_model(model, gates):
    """Give a model with gates on its only layer."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The gate network of layer")
        return kdg.gate_model(model, layers={model.layers[0].name: {"block_size": 2, **gates}})


def callbacks(recorder):
    """List the callbacks of the training."""
    return [kdg.MacBudget(0.5), RigLUpdate(interval=4), MagnitudePruning(0.5, interval=4), recorder]


def fit(model):
    """Train for `STEPS` steps of one batch and give what was recorded."""
    recorder = Recorder()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The training ended at")
        model.fit(X, Y, SAMPLES, STEPS, verbose=0, shuffle=False, callbacks=callbacks(recorder))
    return recorder.results()


class Recorder(keras.callbacks.Callback):
    """Records each step, as every epoch has one, and what the training ends with."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_epoch_end(self, epoch, logs=None):
        step = {"loss": np.array(logs["loss"])}
        for index, layer in enumerate(gated_layers(self.model)):
            for name in FOLLOWED:
                weight = getattr(layer.gate, name)
                step[f"{name} of gate {index}"] = ops.convert_to_numpy(weight)
        self.steps.append(step)

    def results(self):
        """Give arrays by name: the steps one after the other, the final masks and weights."""
        found = {name: np.stack([step[name] for step in self.steps]) for name in self.steps[0]}
        with record_gates() as record:
            self.model(X, training=False)
        for index, mask in enumerate(record.masks().values()):
            found[f"masks of gate {index}"] = mask
        for index, weight in enumerate(self.model.weights):
            found[f"weight {index}, {weight.name}"] = ops.convert_to_numpy(weight)
        return found
