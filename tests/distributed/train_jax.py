"""Trains on one device and on eight by Keras's distributions; the argument is a folder."""

import os
import pathlib
import sys

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)

import keras
import numpy as np
from small_training import build_model, fit

folder = pathlib.Path(sys.argv[1])
# With the noise, which JAX draws for the batch as a whole.
np.savez(folder / "one.npz", **fit(build_model("logistic")))

devices = keras.distribution.list_devices()
assert len(devices) == 8, devices
with keras.distribution.DataParallel(devices=devices).scope():
    np.savez(folder / "data-parallel.npz", **fit(build_model("logistic")))

mesh = keras.distribution.DeviceMesh((4, 2), ["batch", "model"], devices)
layouts = keras.distribution.LayoutMap(mesh)
layouts[".*kernel"] = (None, "model")
with keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch").scope():
    model = build_model("logistic")
    sharded = [weight for weight in model.weights if not weight.value.is_fully_replicated]
    assert sharded, "no weight is spread over devices"
    np.savez(folder / "model-parallel.npz", **fit(model))
