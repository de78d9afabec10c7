import hashlib
import sys
from pathlib import Path

import anndata
import keras
import numpy as np
import pytest
import scipy.sparse

from keras_dynamicgate.datasets import pbmc3k
from keras_dynamicgate.datasets.reading.genes import choose_genes, normalise

pytestmark = pytest.mark.one_backend("torch")

ARCHIVE = "pbmc3k_filtered_gene_bc_matrices.tar.gz"


def test_all_forms_of_the_originals_give_the_same_dataset(labelled, unpacked, packed):
    first, *others = (pbmc3k(folder) for folder in (labelled, unpacked, packed))
    assert repr(first) == (
        "Dataset pbmc3k: x (5,) float32, 8 classes, train 42, validation 6, test 12"
    )
    for other in others:
        assert other.feature_names == first.feature_names
        np.testing.assert_array_equal(other.train.y, first.train.y)
        np.testing.assert_allclose(other.train[:][0], first.train[:][0], rtol=1e-6)


def test_splits_stay_sparse_and_have_the_same_share_of_each_type(labelled):
    dataset = pbmc3k(labelled)
    for split, count in ((dataset.train, 21), (dataset.validation, 3), (dataset.test, 6)):
        assert scipy.sparse.issparse(split.x)
        assert split.x.format == "csr"
        assert split.x.dtype == "float32"
        assert np.bincount(split.y).tolist() == [count, 0, count]


def test_a_model_trains_on_sparse_cells(labelled):
    dataset = pbmc3k(labelled)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(dataset.train.batches(16, shuffle=True), shuffle=False, verbose=0)


def test_counts_become_logarithms_of_shares():
    counts = anndata.AnnData(scipy.sparse.csr_matrix(np.array([[1, 3, 0], [2, 0, 2]], "float32")))
    expected = np.log1p([[2500, 7500, 0], [5000, 0, 5000]])
    np.testing.assert_allclose(normalise(counts).X.toarray(), expected, rtol=1e-6)
    assert counts.X.sum() == 8


def test_the_genes_that_vary_most_are_chosen_and_no_more_than_asked(made_up_counts):
    cells = normalise(made_up_counts())
    for count in (1, 5, 50):
        assert len(choose_genes(cells, count, Path("counts.h5ad"))) == count
    chosen = choose_genes(cells, 5, Path("counts.h5ad"))
    assert 7 in chosen
    assert (np.diff(chosen) > 0).all()


def test_genes_are_chosen_on_the_training_cells_only(labelled, made_up_counts, monkeypatch):
    seen = []

    def spy(cells, num_genes, source):
        seen.extend(cells.obs_names)
        return choose_genes(cells, num_genes, source)

    monkeypatch.setattr(sys.modules[pbmc3k.__module__], "choose_genes", spy)
    dataset = pbmc3k(labelled)
    counts = normalise(made_up_counts())[seen, list(dataset.feature_names)]
    np.testing.assert_array_equal(counts.X.toarray(), dataset.train[:][0])


def test_too_few_genes_name_the_counts(labelled, packed, unpacked, monkeypatch):
    monkeypatch.setattr(sys.modules[pbmc3k.__module__], "_NUM_GENES", 201)
    matrix = unpacked / "filtered_gene_bc_matrices" / "hg19"
    for data_dir, source in (
        (labelled, labelled / "counts.h5ad"),
        (packed, packed / ARCHIVE),
        (unpacked, matrix),
    ):
        with pytest.raises(ValueError, match=f"{source} must have 201 genes.*Received: [12]"):
            pbmc3k(data_dir)


def test_both_originals_are_downloaded_and_checked_once(packed, monkeypatch, tmp_path):
    files = sys.modules["keras_dynamicgate.datasets.reading.pbmc3k_files"]
    for kind, name in (("ARCHIVE", ARCHIVE), ("LABELS", "pbmc3k_processed.h5ad")):
        digest = hashlib.sha256((packed / name).read_bytes()).hexdigest()
        monkeypatch.setattr(files, f"_{kind}_URL", (packed / name).as_uri())
        monkeypatch.setattr(files, f"_{kind}_CHECKSUM", f"sha256:{digest}")
    assert len(pbmc3k(cache_dir=tmp_path / "cache").train) == 42
    (packed / ARCHIVE).unlink()
    assert len(pbmc3k(cache_dir=tmp_path / "cache").train) == 42


def test_the_real_counts_have_their_cells_types_and_genes(real_data):
    dataset = pbmc3k(real_data("pbmc3k"))
    assert repr(dataset) == (
        "Dataset pbmc3k: x (2000,) float32, 8 classes, train 1846, validation 264, test 528"
    )
    y = np.concatenate([split.y for split in (dataset.train, dataset.validation, dataset.test)])
    assert np.bincount(y).tolist() == [1144, 480, 342, 316, 154, 150, 37, 15]
    assert all(len(np.unique(s.y)) == 8 for s in (dataset.train, dataset.validation, dataset.test))
    assert len(set(dataset.feature_names)) == 2000
    markers = {"MS4A1", "CD79A", "CD8A", "CD14", "LYZ", "NKG7", "GNLY", "FCGR3A", "FCER1A", "PPBP"}
    assert markers < set(dataset.feature_names)
    assert dataset.train.x.nnz < 0.2 * dataset.train.x.shape[0] * 2000


def test_the_real_10x_matrix_agrees_with_the_labelled_file(real_data, tmp_path):
    for name in (ARCHIVE, "pbmc3k_processed_obs.csv"):
        (tmp_path / name).symlink_to(real_data("pbmc3k") / name)
    labelled, matrix = pbmc3k(real_data("pbmc3k")), pbmc3k(tmp_path)
    assert matrix.feature_names == labelled.feature_names
    np.testing.assert_array_equal(matrix.test.y, labelled.test.y)
    assert (matrix.test.x != labelled.test.x).nnz == 0
