# %% [markdown]
"""PBMC3k on a budget: cell types from gene counts, and the genes that are enough to tell them.

    python examples/pbmc3k.py --data-dir data/pbmc3k --models linear,narrow,static --seeds 1

A linear classifier does as well here as any network, so the question is not how accurate a model is
but how few genes it needs. Static gates on the inputs answer it: the script lists the genes that
they leave open, and which of the known marker genes of the cell types are among them.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %%
from keras_dynamicgate import datasets, experiments

# %% tags=["options"]
options = experiments.parse(__doc__)

# %%
runs = experiments.compare("pbmc3k", **options)

# %%
gated = [run for run in runs if run["open_features"]]
if not gated:
    print("\nNo gates left fewer than 1,000 genes open. Try --targets 0.05.")
else:
    fewest = min(gated, key=lambda run: len(run["open_features"]))
    genes = fewest["open_features"]
    print(
        f"\n{len(genes)} of 2,000 genes are enough for {fewest['model']} at {fewest['target']}, "
        f"seed {fewest['seed']} ({fewest['accuracy']:.1%} of the test cells right):"
    )
    print(", ".join(sorted(genes)))
    for cell_type, markers in datasets.PBMC3K_MARKERS.items():
        marks = ", ".join(f"{gene} {'open' if gene in genes else 'closed'}" for gene in markers)
        print(f"    {cell_type:20} {marks}")
