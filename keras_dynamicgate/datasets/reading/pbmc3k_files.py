"""Read the counts and the cell types of PBMC3k."""

import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

from keras_dynamicgate.datasets.reading.archive import unpack
from keras_dynamicgate.datasets.reading.download import cache_folder, download
from keras_dynamicgate.datasets.reading.files import check_data_dir, errors_as, find_file
from keras_dynamicgate.datasets.reading.optional import import_optional

LABEL = "louvain"
# The customary analysis leaves 62 of the 2,700 cells without a type.
_MAX_WITHOUT_TYPE = 0.05

_ARCHIVE = "pbmc3k_filtered_gene_bc_matrices.tar.gz"
_MATRIX_FOLDER = Path("filtered_gene_bc_matrices", "hg19")
_MATRIX_FILES = ("matrix.mtx", "genes.tsv", "barcodes.tsv")
_LABEL_FILES = ("pbmc3k_processed_obs.csv", "pbmc3k_processed.h5ad", "pbmc3k.h5ad")

# Checksums as recorded by other public projects that download the same files.
_ARCHIVE_URL = f"https://cf.10xgenomics.com/samples/cell-exp/1.1.0/pbmc3k/{_ARCHIVE}"
_ARCHIVE_CHECKSUM = "md5:f76d73bf7a582aaf32b798bcae9574d3"
# A pinned commit: what the main branch serves may change.
_LABELS_URL = (
    "https://raw.githubusercontent.com/chanzuckerberg/cellxgene/"
    "68dfbcc2eb675e96c6a5e2a6b7a0d3465ccf46bc/example-dataset/pbmc3k.h5ad"
)
_LABELS_CHECKSUM = "sha256:0db367b991dd95809732b218539ede489bea99113807f62ebd7ccc970025fe38"


def download_pbmc3k(cache_dir: str | PathLike[str] | None) -> Path:
    """Download the counts from 10x and the cell types from the cellxgene project.

    Args:
        cache_dir: Folder for the downloads, or `None` for Keras's own.

    Returns:
        A folder that `read_pbmc3k` understands.
    """
    cache = cache_folder(cache_dir, "pbmc3k")
    download(_ARCHIVE_URL, cache / _ARCHIVE, checksum=_ARCHIVE_CHECKSUM)
    download(_LABELS_URL, cache / "pbmc3k_processed.h5ad", checksum=_LABELS_CHECKSUM)
    return cache


def read_pbmc3k(data_dir: str | PathLike[str]) -> tuple[Any, Path, Path]:
    """Read the counts of all cells, with their types in `obs["louvain"]`.

    Args:
        data_dir: Folder with a labelled `.h5ad` file of counts, or with the 10x matrix (packed or
            not) and a file of cell types.

    Returns:
        An `anndata.AnnData` of counts, the file or folder that they came from, and the file that
        the cell types came from.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, or does not hold what it should.

    Examples:
        >>> counts, counts_file, labels_file = read_pbmc3k("data/pbmc3k")
        >>> counts.shape
        (2700, 32738)
    """
    folder = check_data_dir(data_dir, f"a labelled .h5ad file, or {_ARCHIVE} and cell types")
    labelled = [path for path in sorted(folder.glob("*.h5ad")) if path.name not in _LABEL_FILES]
    if len(labelled) > 1:
        raise ValueError(
            "Argument `data_dir` must hold one .h5ad file of counts. "
            f"Received: {', '.join(path.name for path in labelled)} in {folder}"
        )
    if labelled:
        source = labelled[0]
        counts = _read_h5ad(source)
        _check_counts(counts, source)
        return counts, source, source
    matrix = _find_matrix(folder)
    source = find_file(folder, _LABEL_FILES)
    counts = _read_matrix(matrix)
    _check_counts(counts, matrix)
    counts.obs[LABEL] = _types_of(counts.obs_names, _read_labels(source), source)
    return counts, matrix, source


def _find_matrix(folder: Path) -> Path:
    for matrix in (folder / _MATRIX_FOLDER, folder):
        if (matrix / _MATRIX_FILES[0]).is_file():
            for name in _MATRIX_FILES:
                find_file(matrix, [name])
            return matrix
    return find_file(folder, [_ARCHIVE, f"{_MATRIX_FOLDER.as_posix()}/matrix.mtx", "*.h5ad"])


def _read_matrix(matrix: Path) -> Any:
    if matrix.is_dir():
        return _read_matrix_folder(matrix, matrix)
    with tempfile.TemporaryDirectory() as temporary:
        names = [f"{_MATRIX_FOLDER.as_posix()}/{name}" for name in _MATRIX_FILES]
        unpack(matrix, names, Path(temporary))
        return _read_matrix_folder(Path(temporary), matrix)


def _read_matrix_folder(folder: Path, source: Path) -> Any:
    scanpy = import_optional("scanpy", "pbmc3k")
    with errors_as(f"{source} does not hold a complete 10x matrix"):
        return scanpy.read_10x_mtx(folder, var_names="gene_symbols")


def _read_labels(path: Path) -> Any:
    if path.suffix == ".csv":
        pandas = import_optional("pandas", "pbmc3k")
        with errors_as(f"{path} is not a readable table"):
            labels = pandas.read_csv(path, index_col=0)
    else:
        labels = _read_h5ad(path).obs
    if LABEL not in labels:
        raise ValueError(f"{path} must have the column '{LABEL}'. Received: {list(labels)}")
    return labels[LABEL]


def _types_of(cells: Any, labels: Any, path: Path) -> Any:
    if labels.index.has_duplicates:
        twice = labels.index[labels.index.duplicated()][0]
        raise ValueError(f"{path} must name each cell once. Received: {twice!r} twice")
    # What is left of a row that was cut has a barcode and no type.
    cut = path.suffix == ".csv" and not path.read_bytes().endswith(b"\n")
    if cut and labels.tail(1).isna().any():
        raise ValueError(f"{path} is truncated. Received: last row={labels.index[-1]!r}, no type")
    types = labels.reindex(cells)
    without = int(types.isna().sum())
    if without > _MAX_WITHOUT_TYPE * len(cells):
        raise ValueError(
            f"{path} must hold the types of nearly all cells, given by barcode. "
            f"Received: {without} of {len(cells)} cells without a type"
        )
    return types


def _read_h5ad(path: Path) -> Any:
    anndata = import_optional("anndata", "pbmc3k")
    with errors_as(f"{path} is not a complete .h5ad file"):
        return anndata.read_h5ad(path)


def _check_counts(counts: Any, path: Path) -> None:
    values = getattr(counts.X, "data", None)
    if values is None or values.size == 0 or values.min() < 0 or (values % 1).any():
        raise ValueError(f"{path} must hold a sparse matrix of counts: whole numbers from 0 up")
    if path.suffix == ".h5ad" and LABEL not in counts.obs:
        raise ValueError(
            f"{path} must have the column '{LABEL}'. Received: {list(counts.obs.columns)}"
        )
