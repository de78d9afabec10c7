# %% [markdown]
"""Handwritten digits on a budget: dense, gated and narrow networks in less than two minutes.

    python examples/digits.py --targets 0.3 --seeds 1

The 8x8 digits come with scikit-learn, so nothing is downloaded. Static gates choose the pixels
that matter at all, and low-rank gates decide for each image which blocks of hidden units run. The
budget is one number; nothing else has to be tuned.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %%
from keras_dynamicgate import experiments

# %% tags=["options"]
options = experiments.parse(__doc__)

# %%
runs = experiments.compare("digits", **options)
