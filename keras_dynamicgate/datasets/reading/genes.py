"""Normalise counts and choose genes, as is customary for single cells."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.datasets.reading.optional import import_optional

_COUNTS_PER_CELL = 10_000
_MIN_CELLS = 3


def normalise(counts: Any) -> Any:
    """Scale each cell to 10,000 counts and take `log(1 + x)`.

    Args:
        counts: An `anndata.AnnData` of counts, cells by genes. It stays as it is.

    Returns:
        A new `anndata.AnnData`.

    Examples:
        >>> normalise(counts).X.max()
        7.8

    Reference:
        [scanpy](https://scanpy.readthedocs.io)
    """
    scanpy = import_optional("scanpy", "pbmc3k")
    cells = counts.copy()
    scanpy.pp.normalize_total(cells, target_sum=_COUNTS_PER_CELL)
    scanpy.pp.log1p(cells)
    return cells


def choose_genes(cells: Any, num_genes: int, source: Path) -> np.ndarray:
    """Choose the most variable genes.

    Genes are ranked by scanpy's `highly_variable_genes` with `flavor="cell_ranger"`, among the
    genes found in at least three cells. (scanpy's default drops more of the known marker genes of
    these cell types, CD14 and CD8A among them.)

    Args:
        cells: An `anndata.AnnData` of normalised cells: the training cells alone, so that
            nothing about the others leaks into the features.
        num_genes: How many genes to choose.
        source: The file or folder the counts were read from, for the message.

    Returns:
        Column numbers of the genes in rising order, shape `(num_genes,)`.

    Raises:
        ValueError: If fewer than `num_genes` genes are found in three cells.

    Examples:
        >>> choose_genes(cells[train], 2000, Path("counts.h5ad")).shape
        (2000,)

    Reference:
        [scanpy](https://scanpy.readthedocs.io)
    """
    scanpy = import_optional("scanpy", "pbmc3k")
    shown, _ = scanpy.pp.filter_genes(cells, min_cells=_MIN_CELLS, inplace=False)
    if shown.sum() < num_genes:
        raise ValueError(
            f"{source} must have {num_genes} genes found in at least {_MIN_CELLS} of the "
            f"{len(cells)} training cells. Received: {shown.sum()} such genes"
        )
    ranking = scanpy.pp.highly_variable_genes(
        cells[:, shown], n_top_genes=num_genes, flavor="cell_ranger", inplace=False
    )
    # Sorted here, since scanpy's own selection returns more genes where the last ones tie.
    score = ranking["dispersions_norm"].fillna(-np.inf).to_numpy()
    best = np.argsort(-score, kind="stable")[:num_genes]
    return np.sort(np.flatnonzero(shown)[best])
