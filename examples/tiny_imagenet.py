# %% [markdown]
"""Tiny-ImageNet on a budget: a fully connected network on images of 32 x 32 pixels.

    python examples/tiny_imagenet.py --data-dir data/tiny-imagenet --targets 0.15 --seeds 1

Images are decoded once, made half as high and wide and kept as bytes; the whole set is never in
memory as floats. `--data-dir` may hold some of the 200 classes only. One static gate for each pixel
chooses where to look, and low-rank gates decide for each image which blocks of hidden units run.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %%
from keras_dynamicgate import experiments

# %% tags=["options"]
options = experiments.parse(__doc__)

# %%
runs = experiments.compare("tiny_imagenet", **options)
