# %% [markdown]
"""CIFAR-10 on a budget: a fully connected network with two hidden layers, gated and narrowed.

    python examples/cifar10.py --data-dir data/cifar10 --targets 0.15 --seeds 1

One static gate for each pixel chooses where to look, and low-rank gates decide for each image which
blocks of hidden units run. Training images are mirrored, for all models alike. A fully connected
network is no match for a convolutional one on images; what counts here is what it keeps of its
accuracy when it may execute less of itself.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %%
from keras_dynamicgate import experiments

# %% tags=["options"]
options = experiments.parse(__doc__)

# %%
runs = experiments.compare("cifar10", **options)
