"""PBMC3k: gene counts of 2,638 blood cells of eight types."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.datasets.dataset import Dataset, Split
from keras_dynamicgate.datasets.reading.genes import choose_genes, normalise
from keras_dynamicgate.datasets.reading.pbmc3k_files import LABEL, download_pbmc3k, read_pbmc3k
from keras_dynamicgate.datasets.reading.splitting import (
    TEST_FRACTION,
    check_validation_fraction,
    train_validation_and_test,
)

_CITATION = (
    "10x Genomics, 3k PBMCs from a Healthy Donor, Single Cell Gene Expression Dataset by Cell "
    "Ranger 1.1.0, 2016. https://www.10xgenomics.com/datasets/"
    "3-k-pbm-cs-from-a-healthy-donor-1-standard-1-1-0"
)
_LICENCE = "CC BY 4.0"
_CLASS_NAMES = (
    "CD4 T cells",
    "CD14+ Monocytes",
    "B cells",
    "CD8 T cells",
    "NK cells",
    "FCGR3A+ Monocytes",
    "Dendritic cells",
    "Megakaryocytes",
)
# By which genes the customary analysis names the cell types.
PBMC3K_MARKERS = {
    "CD4 T cells": ("IL7R",),
    "CD14+ Monocytes": ("CD14", "LYZ"),
    "B cells": ("MS4A1", "CD79A"),
    "CD8 T cells": ("CD8A", "CD8B"),
    "NK cells": ("GNLY", "NKG7"),
    "FCGR3A+ Monocytes": ("FCGR3A", "MS4A7"),
    "Dendritic cells": ("FCER1A", "CST3"),
    "Megakaryocytes": ("PPBP",),
}
_NUM_GENES = 2000


def pbmc3k(
    data_dir: str | PathLike[str] | None = None,
    *,
    validation_fraction: float = 0.1,
    seed: int = 0,
    cache_dir: str | PathLike[str] | None = None,
) -> Dataset:
    """Load PBMC3k: the 2,000 most variable genes of 2,638 blood cells of eight types.

    Each cell is scaled to 10,000 counts, then `log(1 + x)`; the genes are chosen on the training
    cells only. `split.x` is a SciPy CSR matrix; `split.batches()` and `split[rows]` are dense.

    The labels are the cluster names of the customary analysis, not ground truth. The 62 cells
    that it left out are dropped. There is no official test split: a fifth of each type (528
    cells in all) is drawn. `seed` fixes both draws, so keep it while you compare models.

    Args:
        data_dir: Folder with one `.h5ad` file of counts with the cell types in
            `obs["louvain"]`; or with the 10x matrix
            (`pbmc3k_filtered_gene_bc_matrices.tar.gz`, or unpacked) and the cell types
            (`pbmc3k_processed_obs.csv`, `pbmc3k_processed.h5ad` or `pbmc3k.h5ad`).
            Defaults to `None`: the 10x matrix and the cell types are downloaded.
        validation_fraction: Share of all cells, drawn from each type alike, that is kept for
            validation, in `[0, 0.8)`. Defaults to 0.1.
        seed: Integer that fixes the splits. Defaults to 0.
        cache_dir: Folder for the downloads. Defaults to `~/.keras/datasets/keras_dynamicgate`.

    Returns:
        A `Dataset`; samples have shape `(2000,)`, float32, `y` is int32, and `feature_names`
        holds the names of the genes.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, has too few genes, lacks the types of many cells or names
            an unknown one, or an argument is out of range.
        ImportError: If anndata or scanpy is not installed.

    Examples:
        >>> dataset = keras_dynamicgate.datasets.pbmc3k("data/pbmc3k")
        >>> dataset
        Dataset pbmc3k: x (2000,) float32, 8 classes, train 1846, validation 264, test 528

    Reference:
        [Zheng et al., 2017](https://doi.org/10.1038/ncomms14049)
    """
    check_validation_fraction(validation_fraction, below=1 - TEST_FRACTION)
    folder = download_pbmc3k(cache_dir) if data_dir is None else data_dir
    counts, counts_file, labels_file = read_pbmc3k(folder)
    counts = counts[counts.obs[LABEL].notna().to_numpy()]
    y = _numbers(counts.obs[LABEL], labels_file)
    train, validation, test = train_validation_and_test(y, validation_fraction, seed)
    cells = normalise(counts)
    cells = cells[:, choose_genes(cells[train], _NUM_GENES, counts_file)]
    x = cells.X.tocsr().astype("float32")
    return Dataset(
        name="pbmc3k",
        train=Split(x[train], y[train]),
        validation=Split(x[validation], y[validation]),
        test=Split(x[test], y[test]),
        class_names=_CLASS_NAMES,
        citation=_CITATION,
        licence=_LICENCE,
        feature_names=tuple(cells.var_names),
    )


def _numbers(labels: Any, source: Path) -> np.ndarray:
    number_of = {name: number for number, name in enumerate(_CLASS_NAMES)}
    unknown = sorted(set(labels) - set(_CLASS_NAMES))
    if unknown or len(labels) == 0:
        raise ValueError(
            f"Labels in {source} must be cell types among {', '.join(_CLASS_NAMES)}, given by "
            f"barcode. Received: {unknown or 'no label for any cell'}"
        )
    return np.array([number_of[name] for name in labels], "int32")
