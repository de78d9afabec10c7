"""A small transformer for spoken words whose feed-forward blocks are gated for each patch of sound.

    python examples/transformer_speech.py --data-dir data/speech_commands

Log-mel features are cut into 28 patches of 7 frames and 10 bands, the tokens of a transformer
encoder with four blocks. In the gated model a `DynamicGateMLP` decides for each token which blocks
of hidden units run. It is compared with the dense model and with a dense one whose feed-forward
blocks are narrower, so that both cost the same; attention is the same in all three.
"""

import argparse
import bisect
import dataclasses
import functools
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
from keras import layers, ops
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate import experiments

BLOCKS, WIDTH, HIDDEN, HEADS = 4, 96, 384, 4
FRAMES, BANDS = 7, 10


@keras.saving.register_keras_serializable(package="transformer_speech")
class Positions(layers.Layer):
    """Adds a learned vector to each token."""

    def build(self, input_shape):
        self.positions = self.add_weight(shape=input_shape[1:], initializer="random_normal")

    def call(self, inputs):
        return ops.add(inputs, self.positions)


def patches(x):
    """Cut `(frames, bands)` into rectangles: one token each."""
    _, frames, bands = x.shape
    rows, columns = frames // FRAMES, bands // BANDS
    x = layers.Reshape((rows, FRAMES, columns, BANDS))(x)
    return layers.Reshape((rows * columns, FRAMES * BANDS))(layers.Permute((1, 3, 2, 4))(x))


def transformer(task, dataset, hidden=HIDDEN, **settings):
    """Build the classifier; `settings` are those of the feed-forward blocks."""
    inputs = keras.Input(dataset.train.element_spec[0].shape)
    x = layers.Rescaling(task.scale, offset=-task.mean * task.scale)(inputs)
    x = Positions(name="positions")(layers.Dense(WIDTH, name="tokens")(patches(x)))
    for number in range(1, BLOCKS + 1):
        normal = layers.LayerNormalization()(x)
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention{number}")
        x = layers.Add()([x, layers.Dropout(0.1)(attention(normal, normal))])
        normal = layers.LayerNormalization()(x)
        name = f"feed_forward{number}"
        feed_forward = kdg.DynamicGateMLP(hidden, WIDTH, "gelu", name=name, **settings)
        x = layers.Add()([x, layers.Dropout(0.1)(feed_forward(normal))])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(dataset.num_classes, name="classes")(x))


def narrowed(task, dataset, macs):
    """Find the widest dense feed-forward blocks that cost no more than `macs`."""
    build = functools.partial(transformer, task, dataset, gate=None)
    sizes = range(4, HIDDEN + 1, 4)
    fitting = bisect.bisect(sizes, macs, key=lambda size: kdg.count_macs(build(size)).dense)
    if fitting:
        return build(sizes[fitting - 1])
    raise ValueError(f"Attention alone costs more than {macs:,.0f} MACs: give a larger --target.")


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data-dir", help="folder with the originals; without it they are fetched")
    parser.add_argument("--target", type=float, default=0.6, help="budget of relative MACs")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="few clips: see that all works")
    options = parser.parse_known_args()[0]
    task = experiments.TASKS["speech_commands"]
    dataset = (task.load if options.quick else task.dataset)(options.data_dir)
    if options.quick:
        few = (kdg.datasets.Split(*split[:256]) for split in (dataset.train, dataset.test))
        dataset = dataclasses.replace(dataset, train=next(few), test=next(few))
    recipe = experiments.Recipe(2 if options.quick else options.epochs, peak_learning_rate=1e-3)
    x, _ = dataset.test[:]
    table = Table("model", "accuracy", "open ratio", "relative MACs", title="Speech Commands")
    keras.utils.set_random_seed(0)
    dense = transformer(task, dataset, gate=None)
    macs = kdg.count_macs(dense).dense
    models = {
        "dense": dense,
        f"narrow at {options.target}": narrowed(task, dataset, options.target * macs),
        f"gated at {options.target}": transformer(task, dataset),
    }
    for name, model in models.items():
        callbacks = [kdg.MacBudget(options.target)] if name.startswith("gated") else []
        recipe.train(model, dataset, callbacks, verbose=2)
        report = kdg.count_macs(model, x)
        accuracy = model.evaluate(dataset.test.batches(512), verbose=0, return_dict=True)
        relative = (report.executed + report.gates) / macs
        open_ratio = f"{report.open_ratio:.2f}" if report.gates else "1.00"
        table.add_row(name, f"{accuracy['accuracy']:.2%}", open_ratio, f"{relative:.3f}")
    print(report)
    Console().print(table)


if __name__ == "__main__":
    main()
