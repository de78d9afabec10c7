import sys

import keras
import numpy as np
import pytest

from keras_dynamicgate.datasets import cifar10, mnist, speech_commands

tf = pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(autouse=True)
def mocked():
    with tfds.testing.mock_data(num_examples=20):
        yield


@pytest.mark.parametrize(("loader", "shape"), [(mnist, (28, 28)), (cifar10, (32, 32, 3))])
def test_images_come_as_from_the_originals(loader, shape):
    dataset = loader()
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [18, 2, 20]
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.element_spec == ((shape, "float32"), ((), "int32"))
        assert split.x.min() >= 0
        assert 0.5 < split.x.max() <= 1
        assert set(split.y) <= set(range(10))
    assert dataset.num_classes == 10


def test_speech_features_are_computed_once(tmp_path, capsys):
    first = speech_commands(cache_dir=tmp_path)
    assert capsys.readouterr().out.count("20/20") == 3
    assert len(list((tmp_path / "speech_commands").iterdir())) == 3
    second = speech_commands(cache_dir=tmp_path)
    assert capsys.readouterr().out == ""
    for split, again in ((first.train, second.train), (first.test, second.test)):
        assert split.element_spec == (((49, 40), "float32"), ((), "int32"))
        assert len(split) == 20
        np.testing.assert_array_equal(split.x, again.x)
        np.testing.assert_array_equal(split.y, again.y)
    assert first.class_names[:3] == ("down", "go", "left")
    assert first.num_classes == 12


def test_what_the_preparation_needs_is_asked_for_before_the_download(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydub", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"`speech_commands` needs the package `pydub`"):
        speech_commands()


@pytest.mark.parametrize("too_late", [False, True])
def test_tensorflow_leaves_the_gpu_to_another_backend(monkeypatch, too_late):
    hidden = []

    def hide(devices, kind):
        hidden.append((devices, kind))
        if too_late:
            raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", hide)
    mnist()
    assert hidden == ([] if keras.backend.backend() == "tensorflow" else [([], "GPU")])
