import hashlib
import sys
import tarfile

import anndata
import keras
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse

from keras_dynamicgate.datasets import pbmc3k
from keras_dynamicgate.datasets._genes import choose_genes, normalise

TYPES = ("CD4 T cells", "B cells")
ARCHIVE = "pbmc3k_filtered_gene_bc_matrices.tar.gz"


def made_up_counts():
    """60 labelled cells of two types and one without a label, 200 genes."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.uniform(0.2, 9, 200), (61, 200)).astype("float32")
    counts[:30, 7] += 20
    labels = [*([TYPES[0]] * 30), *([TYPES[1]] * 30), None]
    barcodes = [f"cell{number}" for number in range(61)]
    return anndata.AnnData(
        scipy.sparse.csr_matrix(counts),
        obs=pd.DataFrame({"louvain": pd.Categorical(labels)}, index=barcodes),
        var=pd.DataFrame(index=[f"gene{number}" for number in range(200)]),
    )


@pytest.fixture(autouse=True)
def few_genes(request, monkeypatch):
    if "real_data" not in request.fixturenames:
        monkeypatch.setattr(sys.modules[pbmc3k.__module__], "_NUM_GENES", 5)


@pytest.fixture
def labelled(tmp_path):
    folder = tmp_path / "labelled"
    folder.mkdir()
    made_up_counts().write_h5ad(folder / "counts.h5ad")
    return folder


def write_matrix(folder, counts):
    folder.mkdir(parents=True)
    scipy.io.mmwrite(folder / "matrix.mtx", counts.X.T.astype("int64"))
    genes = pd.DataFrame({"id": counts.var_names, "symbol": counts.var_names})
    genes.to_csv(folder / "genes.tsv", sep="\t", header=False, index=False)
    (folder / "barcodes.tsv").write_text("\n".join(counts.obs_names) + "\n")


@pytest.fixture
def unpacked(tmp_path):
    folder, counts = tmp_path / "unpacked", made_up_counts()
    write_matrix(folder / "filtered_gene_bc_matrices" / "hg19", counts)
    # Only labelled cells are in the table, in another order.
    counts.obs.dropna()[::-1].to_csv(folder / "pbmc3k_processed_obs.csv")
    return folder


@pytest.fixture
def packed(unpacked, tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    with tarfile.open(folder / ARCHIVE, "w:gz") as file:
        file.add(unpacked / "filtered_gene_bc_matrices", "filtered_gene_bc_matrices")
    labels = made_up_counts()[:60]
    labels.write_h5ad(folder / "pbmc3k_processed.h5ad")
    return folder


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


def test_the_genes_that_vary_most_are_chosen_and_no_more_than_asked():
    cells = normalise(made_up_counts())
    for count in (1, 5, 50):
        assert len(choose_genes(cells, count)) == count
    chosen = choose_genes(cells, 5)
    assert 7 in chosen
    assert (np.diff(chosen) > 0).all()


def test_genes_are_chosen_on_the_training_cells_only(labelled, monkeypatch):
    seen = []

    def spy(cells, num_genes):
        seen.extend(cells.obs_names)
        return choose_genes(cells, num_genes)

    monkeypatch.setattr(sys.modules[pbmc3k.__module__], "choose_genes", spy)
    dataset = pbmc3k(labelled)
    counts = normalise(made_up_counts())[seen, list(dataset.feature_names)]
    np.testing.assert_array_equal(counts.X.toarray(), dataset.train[:][0])


@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_truncated_h5ad_file_is_named(labelled, kept):
    path = labelled / "counts.h5ad"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{path} is not a complete .h5ad file"):
        pbmc3k(labelled)


@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_truncated_archive_is_named(packed, kept):
    path = packed / ARCHIVE
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{path} is not a complete archive"):
        pbmc3k(packed)


@pytest.mark.parametrize("name", ["matrix.mtx", "genes.tsv", "barcodes.tsv"])
def test_a_damaged_matrix_is_named(unpacked, name):
    folder = unpacked / "filtered_gene_bc_matrices" / "hg19"
    path = folder / name
    path.write_bytes(path.read_bytes()[:70])
    with pytest.raises(ValueError, match=f"{folder} does not hold a complete 10x matrix"):
        pbmc3k(unpacked)


@pytest.mark.parametrize("name", ["genes.tsv", "barcodes.tsv"])
def test_a_missing_part_of_the_matrix_is_named(unpacked, name):
    (unpacked / "filtered_gene_bc_matrices" / "hg19" / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"must hold {name}"):
        pbmc3k(unpacked)


def test_missing_cell_types_are_named(unpacked):
    (unpacked / "pbmc3k_processed_obs.csv").unlink()
    with pytest.raises(FileNotFoundError, match="must hold pbmc3k_processed_obs.csv or"):
        pbmc3k(unpacked)


def test_an_empty_folder_says_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"must hold {ARCHIVE} or .*matrix.mtx"):
        pbmc3k(tmp_path)


def test_two_files_of_counts_are_refused(labelled):
    made_up_counts().write_h5ad(labelled / "other.h5ad")
    with pytest.raises(ValueError, match="one .h5ad file of counts. Received: counts.h5ad, other"):
        pbmc3k(labelled)


def test_an_unknown_cell_type_names_the_file(unpacked):
    path = unpacked / "pbmc3k_processed_obs.csv"
    path.write_text(path.read_text().replace("B cells", "Z cells"))
    with pytest.raises(ValueError, match=rf"Labels in {path} .*Received: \['Z cells'\]"):
        pbmc3k(unpacked)


def test_cell_types_of_other_cells_name_the_file(unpacked):
    path = unpacked / "pbmc3k_processed_obs.csv"
    path.write_text(path.read_text().replace("cell", "other"))
    with pytest.raises(ValueError, match=f"Labels in {path} .*no label for any cell"):
        pbmc3k(unpacked)


def test_a_table_without_the_column_names_the_file(unpacked):
    path = unpacked / "pbmc3k_processed_obs.csv"
    path.write_text("index,kind\ncell0,B cells\n")
    with pytest.raises(ValueError, match=f"{path} must have the column 'louvain'"):
        pbmc3k(unpacked)


def test_normalised_values_in_place_of_counts_are_refused(labelled):
    counts = made_up_counts()
    counts.X = counts.X / 3
    counts.write_h5ad(labelled / "counts.h5ad")
    with pytest.raises(ValueError, match="counts.h5ad must hold a sparse matrix of counts"):
        pbmc3k(labelled)


def test_both_originals_are_downloaded_and_checked_once(packed, monkeypatch, tmp_path):
    files = sys.modules["keras_dynamicgate.datasets._pbmc3k_files"]
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
