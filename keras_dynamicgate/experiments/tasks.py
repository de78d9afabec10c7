"""The data sets of the comparisons, each with the network and the recipe that all models share."""

import dataclasses
import functools
from collections.abc import Callable
from os import PathLike

from keras_dynamicgate import datasets
from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.experiments.preparation import (
    with_halved_images,
    with_mirror_images,
    with_shifted_clips,
)
from keras_dynamicgate.experiments.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set, the fully connected network that is made cheaper on it, and how it is trained.

    Attributes:
        name: Name of the data set.
        load: Function `load(data_dir)` that gives the `Dataset`.
        hidden: Tuple of integers, the widths of the hidden layers of the full network.
        recipe: The `Recipe` by which all models are trained.
        mean: Float that is subtracted from every input, so that a closed input equals the mean.
        scale: Float that every input is multiplied by afterwards.
        halve: Whether images are made half as high and wide.
        mirror: Whether mirror images are added to the training split.
        shifts: Tuple of integers; for each, clips that begin so many frames later are added to the
            training split.
        dropout: Float, the share of hidden units that training drops, in all families that drop
            units; narrow networks in proportion to their width.
        distilled_dropout: The same for distilled models, which the answers of the teacher keep from
            overfitting as well.
        input_block: Integer, the neighbouring inputs that share one static gate.
        quick_epochs: The epochs of a quick run.

    Examples:
        >>> task = keras_dynamicgate.experiments.Task(
        ...     "my_digits",
        ...     load=lambda data_dir: keras_dynamicgate.datasets.digits(),
        ...     hidden=(64,),
        ...     recipe=keras_dynamicgate.experiments.Recipe(epochs=20),
        ... )
        >>> task.dataset().num_classes
        10
    """

    name: str
    load: Callable[..., Dataset]
    hidden: tuple[int, ...]
    recipe: Recipe
    mean: float = 0.0
    scale: float = 1.0
    halve: bool = False
    mirror: bool = False
    shifts: tuple[int, ...] = ()
    dropout: float = 0.2
    distilled_dropout: float = 0.2
    input_block: int = 1
    quick_epochs: int = 2

    def dataset(self, data_dir: str | PathLike[str] | None = None) -> Dataset:
        """Load the data set as the models are trained on it.

        Args:
            data_dir: Folder with the originals. Defaults to `None`: they are downloaded.
        """
        dataset = self.load(data_dir)
        dataset = with_halved_images(dataset) if self.halve else dataset
        dataset = with_mirror_images(dataset) if self.mirror else dataset
        return with_shifted_clips(dataset, self.shifts) if self.shifts else dataset

    def quick(self) -> "Task":
        """Give the same task with few epochs."""
        recipe = dataclasses.replace(self.recipe, epochs=self.quick_epochs)
        return dataclasses.replace(self, recipe=recipe)


def _digits(data_dir: str | PathLike[str] | None = None) -> Dataset:
    return datasets.digits()


def _mnist_small(data_dir: str | PathLike[str] | None = None) -> Dataset:
    return datasets.mnist_small()


TASKS = {
    task.name: task
    for task in (
        Task("digits", _digits, (256,), Recipe(epochs=60, batch_size=32), quick_epochs=10),
        Task("mnist_small", _mnist_small, (256,), Recipe(epochs=15, batch_size=64), quick_epochs=5),
        Task(
            "mnist",
            functools.partial(datasets.mnist, validation_fraction=1 / 12),
            (256,),
            Recipe(epochs=10),
            distilled_dropout=0.0,
        ),
        Task(
            "cifar10",
            datasets.cifar10,
            (512, 256),
            Recipe(epochs=20, peak_learning_rate=1e-3),
            mean=0.47,
            scale=4.0,
            mirror=True,
            input_block=3,
        ),
        Task(
            "tiny_imagenet",
            datasets.tiny_imagenet,
            (512, 256),
            Recipe(epochs=20, peak_learning_rate=1e-3),
            mean=0.43,
            scale=3.6,
            halve=True,
            mirror=True,
            input_block=3,
        ),
        Task(
            "speech_commands",
            datasets.speech_commands,
            (512,),
            Recipe(epochs=20, peak_learning_rate=2e-3),
            mean=0.31,
            scale=4.7,
            shifts=(-4, -2, 2, 4),
        ),
        Task(
            "pbmc3k",
            datasets.pbmc3k,
            (256,),
            Recipe(epochs=60, peak_learning_rate=1e-3),
            quick_epochs=20,
        ),
    )
}
