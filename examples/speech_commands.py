# %% [markdown]
"""Speech Commands on a budget: spoken words from log-mel features, 49 frames of 40 bands.

    python examples/speech_commands.py --data-dir data/speech_commands --targets 0.3 --seeds 1

Features are computed once, in parallel, and kept on disk. Training clips are also shifted in time,
for all models alike. Static gates choose the frames and bands that matter at all, and low-rank
gates decide for each clip which blocks of hidden units run.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %%
from keras_dynamicgate import experiments

# %% tags=["options"]
options = experiments.parse(__doc__)

# %%
runs = experiments.compare("speech_commands", **options)
