import inspect
import pathlib
import subprocess
import sys

import pytest

import keras_dynamicgate as kdg

ROOT = pathlib.Path(__file__).parents[1]
HEAVY = ("tensorflow_datasets", "librosa", "anndata", "scanpy", "matplotlib", "numba", "sklearn")


def run(*command, **arguments):
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=ROOT, **arguments
    )


def test_import_loads_no_package_that_only_some_users_need():
    # Keras itself is imported first: what it brings along is not for us to judge.
    code = (
        "import sys, keras; before = set(sys.modules); import keras_dynamicgate;"
        f"print([name for name in {HEAVY} if name in set(sys.modules) - before])"
    )
    assert run("-c", code).stdout.strip() == "[]"


def test_import_is_enough_for_saved_models_to_load():
    code = (
        "import keras, keras_dynamicgate;"
        "names = ('RigLDense', 'GatedComposite', 'OneCycle', 'DistillationLoss', 'label_accuracy');"
        "get = keras.saving.get_registered_object;"
        "print(*[get(f'keras_dynamicgate>{name}').__name__ for name in names])"
    )
    assert run("-c", code).stdout.strip() == (
        "RigLDense GatedComposite OneCycle DistillationLoss label_accuracy"
    )


def test_public_names_are_documented_and_in_the_reference():
    reference = (ROOT / "docs" / "api.md").read_text()
    for name in kdg.__all__:
        member = getattr(kdg, name)
        assert member.__doc__, name
        if not inspect.ismodule(member):
            assert f"::: keras_dynamicgate.{name}\n" in reference, name
    for name in kdg.baselines.__all__:
        assert getattr(kdg.baselines, name).__doc__, name
        assert f"::: keras_dynamicgate.baselines.{name}\n" in reference, name


@pytest.mark.one_backend("torch")
def test_tables_say_what_the_result_files_say():
    finished = run("docs/tables.py", "--check")
    assert finished.returncode == 0, finished.stderr
