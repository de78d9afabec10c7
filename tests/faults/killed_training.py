"""A short training to a budget, in a process that kills itself when it is told to."""

import os
import signal
import sys

import keras
import numpy as np

import keras_dynamicgate as kdg

X = np.random.default_rng(0).normal(size=(32, 16)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


class Kill(keras.callbacks.Callback):
    """Kill the process in the middle of the fourth epoch of six."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (3, 1):
            os.kill(os.getpid(), signal.SIGKILL)


def train(backup=None, *callbacks):
    """Train a model, going on where `backup` ends; give its weights and those of its optimizer."""
    keras.utils.set_random_seed(0)
    # Keras keeps no state of noise in its files, that of `Dropout` neither.
    options = {"block_size": 4, "initial_open": 0.6, "estimator": "threshold"}
    gated = kdg.DynamicGateDense(16, "relu", **options)
    model = keras.Sequential([keras.Input((16,)), gated, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    if backup is not None:
        callbacks = (keras.callbacks.BackupAndRestore(backup), *callbacks)
    callbacks = [kdg.MacBudget(0.5), *callbacks]
    model.fit(X, Y, batch_size=8, epochs=6, shuffle=False, verbose=0, callbacks=callbacks)
    steps = [keras.ops.convert_to_numpy(variable) for variable in model.optimizer.variables]
    return model.get_weights(), steps


if __name__ == "__main__":
    train(sys.argv[1], Kill())
