"""What an installed package has to do: import, train, save and load.

python -I tests/packaging/smoke.py

It fails where the package comes from anywhere but the environment that runs it.
"""

import pathlib
import sys
import tempfile

import keras
import numpy as np

import keras_dynamicgate as kdg

location = pathlib.Path(kdg.__file__).resolve()
assert location.is_relative_to(pathlib.Path(sys.prefix).resolve()), location

model = keras.Sequential(
    [
        keras.Input((64,)),
        kdg.DynamicGate(),
        kdg.DynamicGateDense(64, activation="relu"),
        keras.layers.Dense(2),
    ]
)
model.compile("adam", "mse")
x = np.random.default_rng(0).normal(size=(32, 64)).astype("float32")
model.fit(x, x[:, :2], epochs=1, verbose=0, callbacks=[kdg.MacBudget(0.5), kdg.GateSummary(x)])
print(kdg.count_macs(model, x))

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "model.keras")
    model.save(path)
    loaded = keras.saving.load_model(path)
np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
print(f"keras-dynamicgate {kdg.__version__} works in {sys.prefix}")
