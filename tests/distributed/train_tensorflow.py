"""Trains on one device and with `MirroredStrategy` on two; the argument is a folder for results."""

import pathlib
import sys

import numpy as np
import tensorflow as tf
from small_training import SAMPLES, X, Y, build_model, fit

DEVICES = ["CPU:0", "CPU:1"]
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration() for _ in DEVICES],
)


def on_replica(model, replica):
    """Give the copies of the weights that one replica has."""
    return {
        f"weight {index}, {weight.name}": weight.value.values[replica].numpy()
        for index, weight in enumerate(model.weights)
    }


def train_on_one_sample(model):
    """End with a batch of one sample, which leaves nothing to the second replica."""
    model.optimizer.learning_rate = 0.0
    x, y = np.concatenate([X, X[:1]]), np.concatenate([Y, Y[:1]])
    model.fit(x, y, SAMPLES, shuffle=False, verbose=0)
    return {
        f"usage {index} of one sample": weight.numpy()
        for index, weight in enumerate(model.weights)
        if weight.name == "usage"
    }


folder = pathlib.Path(sys.argv[1])
model = build_model()
results = fit(model)
np.savez(folder / "one.npz", **results, **train_on_one_sample(model))

with tf.distribute.MirroredStrategy(DEVICES).scope():
    model = build_model()
results = fit(model)
replicas = [{**results, **on_replica(model, replica)} for replica in range(len(DEVICES))]
one_sample = train_on_one_sample(model)
for replica, found in enumerate(replicas):
    np.savez(folder / f"replica-{replica}.npz", **found, **one_sample)
