"""Write golden files: `KERAS_BACKEND=jax python tests/golden/generate.py [name ...]`.

Each later version has to load them with the outputs that are written beside them, so a golden file
is never made again. Something new that is saved gets a model of its own in `models.py`, and a file
from each backend, in the folder of the version that is released with it.

What cannot be saved and loaded today, and so has no golden file:

- GPTQ and AWQ: a gated layer that is quantized so is saved, but the file does not load.
- A quantized `DynamicGateConv2D`: Keras quantizes no convolutions.
- A quantized policy in a `DTypePolicyMap`: such a `keras.layers.Dense` does not load either.
"""

import pathlib
import sys

import keras
import models
import numpy as np

import keras_dynamicgate as kdg


def inputs(model):
    """Draw inputs for a model, positive and negative."""
    shape = (2, *model.input_shape[1:])
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def write(name, folder):
    """Write the file of a model and, beside it, what a model loaded from it has to answer."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(5)
    model = models.MODELS[name]()
    model.save(folder / f"{name}.keras")
    if name in models.WITH_WEIGHTS_FILE:
        model.save_weights(folder / f"{name}.weights.h5")
    # Of the file and not of the model: Keras rounds a LoRA on int8 weights once more to save it.
    loaded = keras.saving.load_model(folder / f"{name}.keras")
    answers = {"inputs": inputs(model)}
    answers |= models.answers(loaded, answers["inputs"], losses=name in models.WITH_LOSSES)
    np.savez_compressed(folder / f"{name}.npz", **answers)


if __name__ == "__main__":
    names = sys.argv[1:] or list(models.MODELS)
    folder = pathlib.Path(__file__).parent / kdg.__version__ / keras.backend.backend()
    made = [name for name in names if (folder / f"{name}.keras").exists()]
    if made:
        sys.exit(f"A golden file is never made again. There already are {made} in {folder}.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write(name, folder)
