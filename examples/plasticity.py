# %% [markdown]
"""Learning while serving: what update modes recover on drifted digits, and what they forget.

    python examples/plasticity.py --data-dir data/mnist --kind noise --modes none,both,all --seeds 1

A network is trained on clean digits, and a quarter of its units is kept in reserve, closed for
clean ones. Then noisy digits come, each answered before it is learned. Mode `all` trains all;
mode `both` lets the reserve learn, opens it for inputs that look like the new ones, and leaves
every answer to the clean reference as it was, bit for bit.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %%
from keras_dynamicgate import experiments

# %% tags=["options"]
options = experiments.parse_drift(__doc__)

# %%
runs = experiments.drift("mnist", **options)

# %% [markdown]
# ## Is the reference really untouched?
#
# The answers to clean digits of the training, bit by bit: `none` and `both` leave them alone.

# %%
for run in runs:
    print(f"{run['model']}, seed {run['seed']}: {run['changed']:.1%} of its answers have changed")
