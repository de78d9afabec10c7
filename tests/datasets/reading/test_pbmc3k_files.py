import re
import tarfile
import tempfile

import pytest

from keras_dynamicgate.datasets import pbmc3k

pytestmark = pytest.mark.one_backend("torch")

ARCHIVE = "pbmc3k_filtered_gene_bc_matrices.tar.gz"


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
    with pytest.raises(ValueError, match=f"{path} is not a readable archive"):
        pbmc3k(packed)


def pack(archive, folder):
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "filtered_gene_bc_matrices")


@pytest.mark.parametrize("name", ["matrix.mtx", "genes.tsv", "barcodes.tsv"])
def test_an_archive_that_lacks_a_file_is_named(packed, unpacked, name):
    matrices = unpacked / "filtered_gene_bc_matrices"
    (matrices / "hg19" / name).unlink()
    pack(packed / ARCHIVE, matrices)
    message = f"{packed / ARCHIVE} must hold the file .*/hg19/{name}"
    with pytest.raises(ValueError, match=message) as raised:
        pbmc3k(packed)
    assert not re.search(f"{tempfile.gettempdir()}/tmp", str(raised.value))


@pytest.mark.parametrize("name", ["matrix.mtx", "genes.tsv", "barcodes.tsv"])
@pytest.mark.parametrize("kept", [0, 70])
def test_a_damaged_matrix_in_an_archive_names_the_archive(packed, unpacked, name, kept):
    matrices = unpacked / "filtered_gene_bc_matrices"
    path = matrices / "hg19" / name
    path.write_bytes(path.read_bytes()[:kept])
    pack(packed / ARCHIVE, matrices)
    message = f"{packed / ARCHIVE} does not hold a complete 10x matrix"
    with pytest.raises(ValueError, match=message) as raised:
        pbmc3k(packed)
    assert not re.search(f"{tempfile.gettempdir()}/tmp", str(raised.value))


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


def test_two_files_of_counts_are_refused(labelled, made_up_counts):
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
    with pytest.raises(
        ValueError, match=f"{path} must hold .*Received: 61 of 61 cells without a type"
    ):
        pbmc3k(unpacked)


def test_cells_without_any_type_name_the_file(labelled, made_up_counts):
    counts = made_up_counts()
    counts.obs["louvain"] = None
    counts.obs["louvain"] = counts.obs["louvain"].astype("category")
    counts.write_h5ad(labelled / "counts.h5ad")
    with pytest.raises(ValueError, match="Labels in .*counts.h5ad .*no label for any cell"):
        pbmc3k(labelled)


def test_a_table_cut_at_a_line_is_refused(unpacked):
    path = unpacked / "pbmc3k_processed_obs.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:30]))
    with pytest.raises(ValueError, match=f"{path} must hold .*Received: 32 of 61 cells without"):
        pbmc3k(unpacked)


@pytest.mark.parametrize("rest", ["cell0,", "cell0", "cel"])
def test_a_table_cut_within_its_last_row_is_refused(unpacked, rest):
    path = unpacked / "pbmc3k_processed_obs.csv"
    text = path.read_text()
    path.write_text(text[: text.rindex("cell0,")] + rest)
    with pytest.raises(ValueError, match=f"{path} is truncated. Received: last row='{rest[:5]}'"):
        pbmc3k(unpacked)


def test_a_table_needs_no_newline_at_its_end(unpacked):
    path = unpacked / "pbmc3k_processed_obs.csv"
    path.write_text(path.read_text().rstrip("\n"))
    assert len(pbmc3k(unpacked).train) == 42


def test_a_cell_that_is_named_twice_names_the_file(unpacked):
    path = unpacked / "pbmc3k_processed_obs.csv"
    path.write_text(path.read_text() + "cell7,B cells\n")
    with pytest.raises(ValueError, match=f"{path} must name each cell once.*'cell7' twice"):
        pbmc3k(unpacked)


def test_a_table_that_is_not_text_is_named(unpacked):
    path = unpacked / "pbmc3k_processed_obs.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{path} is not a readable table"):
        pbmc3k(unpacked)


def test_a_table_without_the_column_names_the_file(unpacked):
    path = unpacked / "pbmc3k_processed_obs.csv"
    path.write_text("index,kind\ncell0,B cells\n")
    with pytest.raises(ValueError, match=f"{path} must have the column 'louvain'"):
        pbmc3k(unpacked)


def test_normalised_values_in_place_of_counts_are_refused(labelled, made_up_counts):
    counts = made_up_counts()
    counts.X = counts.X / 3
    counts.write_h5ad(labelled / "counts.h5ad")
    with pytest.raises(ValueError, match="counts.h5ad must hold a sparse matrix of counts"):
        pbmc3k(labelled)
