"""Seven data sets in one form: train, validation and test splits, with names and citation.

Each loader imports its own packages (tensorflow-datasets, librosa, anndata, ...) when it is
called, so this module needs Keras and NumPy only.
"""

from keras_dynamicgate.datasets.cifar10 import cifar10
from keras_dynamicgate.datasets.dataset import Batches, Dataset, ElementSpec, Split
from keras_dynamicgate.datasets.digits import digits
from keras_dynamicgate.datasets.mnist import mnist
from keras_dynamicgate.datasets.mnist_small import mnist_small
from keras_dynamicgate.datasets.pbmc3k import PBMC3K_MARKERS, pbmc3k
from keras_dynamicgate.datasets.speech_commands import speech_commands
from keras_dynamicgate.datasets.tiny_imagenet import tiny_imagenet

__all__ = [
    "PBMC3K_MARKERS",
    "Batches",
    "Dataset",
    "ElementSpec",
    "Split",
    "cifar10",
    "digits",
    "mnist",
    "mnist_small",
    "pbmc3k",
    "speech_commands",
    "tiny_imagenet",
]
