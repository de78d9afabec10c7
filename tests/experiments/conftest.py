import numpy as np
import pytest

from keras_dynamicgate.datasets import Dataset, Split
from keras_dynamicgate.experiments import Recipe, Task


def make_dataset():
    """Two classes that differ in the first half of the features."""
    random = np.random.default_rng(0)

    def split(samples):
        y = np.arange(samples, dtype="int32") % 2
        x = random.normal(size=(samples, 4, 8)).astype("float32")
        x[:, :2] += y[:, None, None]
        return Split(x, y)

    return Dataset(
        name="tiny",
        train=split(64),
        validation=split(16),
        test=split(32),
        class_names=("low", "high"),
        citation="",
        licence="",
    )


@pytest.fixture
def dataset():
    return make_dataset()


@pytest.fixture
def task():
    return Task(
        name="tiny",
        load=lambda folder: make_dataset(),
        hidden=(32, 16),
        recipe=Recipe(epochs=1, batch_size=8),
    )
