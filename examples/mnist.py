# %% [markdown]
"""MNIST on a budget: dense networks, networks made narrower, and gated ones.

    python examples/mnist.py --data-dir data/mnist --targets 0.3,0.15 --seeds 1

Static gates choose the pixels that matter at all, and low-rank gates decide for each image which
blocks of hidden units run. The budget is one number; nothing else has to be tuned. At the end the
script says whether the gates really decide by the image.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %%
from keras_dynamicgate import experiments

# %% tags=["options"]
options = experiments.parse(__doc__)

# %%
runs = experiments.compare("mnist", **options)

# %% [markdown]
# ## Do the gates decide by the image?
#
# Do images that are hard for the network open more gates? Do gates tell digits apart? Do they stay
# as they are when noise is added to the image?

# %%
for run in runs:
    if run["signatures"]:
        print(f"{run['model']} at {run['target']}, seed {run['seed']}:")
        for name, value in run["signatures"].items():
            print(f"    {name.replace('_', ' '):24} {value:7.3f}")
