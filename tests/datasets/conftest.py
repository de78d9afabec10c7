"""Where the tests find real data, and where nothing is written."""

import gzip
import struct
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse


@pytest.fixture(autouse=True)
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps the tests out of the user's own cache."""
    home = tmp_path / "keras_home"
    monkeypatch.setenv("KERAS_HOME", str(home))
    return home


@pytest.fixture
def real_data(data_dir: Path) -> Callable[[str], Path]:
    """Finds the originals of one data set, or skips the test."""

    def find(name: str) -> Path:
        if not (data_dir / name).is_dir():
            pytest.skip(f"no real data: {data_dir / name} is missing")
        return data_dir / name

    return find


@pytest.fixture
def write_idx() -> Callable[[Path, np.ndarray], None]:
    """Writes an array of bytes as an idx file, compressed if the name ends in .gz."""

    def write(path: Path, array: np.ndarray) -> None:
        header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
        content = header + array.astype("uint8").tobytes()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)

    return write


@pytest.fixture
def made_up_counts() -> Callable[[], Any]:
    """Makes counts as in PBMC3k: 60 cells of two types and one without a type, 200 genes."""
    anndata, pd = pytest.importorskip("anndata"), pytest.importorskip("pandas")

    def make():
        rng = np.random.default_rng(0)
        counts = rng.poisson(rng.uniform(0.2, 9, 200), (61, 200)).astype("float32")
        counts[:30, 7] += 20
        labels = [*(["CD4 T cells"] * 30), *(["B cells"] * 30), None]
        barcodes = [f"cell{number}" for number in range(61)]
        return anndata.AnnData(
            scipy.sparse.csr_matrix(counts),
            obs=pd.DataFrame({"louvain": pd.Categorical(labels)}, index=barcodes),
            var=pd.DataFrame(index=[f"gene{number}" for number in range(200)]),
        )

    return make


@pytest.fixture
def few_genes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes do with 5 genes, since the counts that the tests make up have 200."""
    monkeypatch.setattr(sys.modules["keras_dynamicgate.datasets.pbmc3k"], "_NUM_GENES", 5)


@pytest.fixture
def labelled(tmp_path: Path, made_up_counts: Callable[[], Any], few_genes: None) -> Path:
    """A folder with one labelled file of counts."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    made_up_counts().write_h5ad(folder / "counts.h5ad")
    return folder


@pytest.fixture
def unpacked(tmp_path: Path, made_up_counts: Callable[[], Any], few_genes: None) -> Path:
    """A folder with the 10x matrix and a table of cell types."""
    folder, counts = tmp_path / "unpacked", made_up_counts()
    matrix = folder / "filtered_gene_bc_matrices" / "hg19"
    matrix.mkdir(parents=True)
    scipy.io.mmwrite(matrix / "matrix.mtx", counts.X.T.astype("int64"))
    genes = "".join(f"{name}\t{name}\n" for name in counts.var_names)
    (matrix / "genes.tsv").write_text(genes)
    (matrix / "barcodes.tsv").write_text("\n".join(counts.obs_names) + "\n")
    # Only labelled cells are in the table, in another order.
    counts.obs.dropna()[::-1].to_csv(folder / "pbmc3k_processed_obs.csv")
    return folder


@pytest.fixture
def packed(unpacked: Path, tmp_path: Path, made_up_counts: Callable[[], Any]) -> Path:
    """A folder with the 10x matrix in its archive and a file of labelled cells."""
    folder = tmp_path / "packed"
    folder.mkdir()
    with tarfile.open(folder / "pbmc3k_filtered_gene_bc_matrices.tar.gz", "w:gz") as file:
        file.add(unpacked / "filtered_gene_bc_matrices", "filtered_gene_bc_matrices")
    made_up_counts()[:60].write_h5ad(folder / "pbmc3k_processed.h5ad")
    return folder
