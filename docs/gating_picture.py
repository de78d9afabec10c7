"""Train a gated model on digits and draw how real images run through it.

python docs/gating_picture.py   # writes docs/assets/gating.svg and docs/assets/first.svg
"""

import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")

import first_picture
import keras
import numpy as np
import steps_picture
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.record import record_gates

ASSETS = pathlib.Path(__file__).parent / "assets"
BUDGET = 0.3
STEPS = 3  # the digit whose steps are shown
FIRST = (3, 0, 7, 4)  # the digits of the first page


def train():
    """Train a model with static gates on the pixels and linear gates on the hidden blocks."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Flatten(),
            kdg.DynamicGate(),
            kdg.DynamicGateDense(
                256, activation="relu", gate="linear", block_size=8, estimator="threshold"
            ),
            keras.layers.Dense(10),
        ]
    )
    data = kdg.datasets.digits()
    recipe = kdg.experiments.Recipe(epochs=60, batch_size=32)
    recipe.train(model, data, [kdg.MacBudget(BUDGET)], verbose=2)
    return model, data


def measure(model, data, digit):
    """Run the first image of a digit in the test split and note what the gates decide."""
    image = data.test.x[np.flatnonzero(data.test.y == digit)[:1]]
    pixels, hidden = model.layers[1], model.layers[2]
    with record_gates() as record:
        inside = keras.Model(model.inputs[0], [hidden.output, *model.outputs])
        units, logits = map(ops.convert_to_numpy, inside(image, training=False))
    return {
        "label": digit,
        "image": image[0],
        "pixels": record.masks()[pixels.gate].reshape(8, 8),
        "probability": record.probabilities()[hidden.gate][0],
        "mask": record.masks()[hidden.gate][0],
        "units": units[0],
        "answer": np.asarray(ops.softmax(logits[0])),
        "one": kdg.count_macs(model, image),
        "all": kdg.count_macs(model, data.test.x),
    }


if __name__ == "__main__":
    model, data = train()
    seen = {digit: measure(model, data, digit) for digit in {STEPS, *FIRST}}
    ASSETS.joinpath("gating.svg").write_text(steps_picture.picture(seen[STEPS]))
    ASSETS.joinpath("first.svg").write_text(first_picture.picture([seen[d] for d in FIRST]))
    labels = np.argmax(model.predict(data.test.x, verbose=0), axis=-1)
    print(f"accuracy on the test split {np.mean(labels == data.test.y):.3f}")
    for digit, each in seen.items():
        right = "right" if np.argmax(each["answer"]) == digit else "wrong"
        print(f"{digit}: {right}, relative MACs {each['one'].relative:.3f}")
