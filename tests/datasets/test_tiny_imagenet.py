import hashlib
import os
import shutil
import struct
import sys
import time
import zipfile
import zlib

import keras
import numpy as np
import PIL.Image
import pytest

from keras_dynamicgate.datasets import tiny_imagenet

pytestmark = pytest.mark.one_backend("torch")


def write_image(path, grey, mode="RGB", size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = grey if mode == "L" else (grey,) * 3
    PIL.Image.new(mode, size, colour).save(path, "JPEG", quality=100)


def write_originals(root):
    root.mkdir()
    (root / "wnids.txt").write_text("n02\nn01\n")
    (root / "words.txt").write_text("n01\tdog, domestic dog\nn02\tcat\nn03\tbird\n")
    for wnid, grey in (("n01", 51), ("n02", 255)):
        for number in range(2):
            write_image(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", grey)
    write_image(root / "val" / "images" / "val_0.JPEG", 51, mode="L")
    write_image(root / "val" / "images" / "val_1.JPEG", 255)
    (root / "val" / "val_annotations.txt").write_text(
        "val_1.JPEG\tn02\t0\t0\t9\t9\nval_0.JPEG\tn01\t0\t0\t9\t9\n"
    )


@pytest.fixture
def folder(tmp_path):
    write_originals(tmp_path / "tiny-imagenet-200")
    return tmp_path / "tiny-imagenet-200"


def test_the_original_folder_or_the_one_above_is_read(folder):
    for data_dir in (folder, folder.parent):
        dataset = tiny_imagenet(data_dir, validation_fraction=0.5)
        assert repr(dataset) == (
            "Dataset tiny_imagenet: x (64, 64, 3) float32, 2 classes, train 2, validation 2, test 2"
        )
        assert dataset.class_names == ("cat", "dog")
        assert dataset.train.y.tolist() == dataset.validation.y.tolist() == [0, 1]


def test_images_are_scaled_and_grey_ones_become_rgb(folder):
    x, y = tiny_imagenet(folder).test[:]
    assert x.dtype == "float32"
    assert x.shape == (2, 64, 64, 3)
    np.testing.assert_allclose(x[:, 0, 0], [[1, 1, 1], [0.2, 0.2, 0.2]])
    assert y.tolist() == [0, 1]


def test_an_image_is_decoded_when_it_is_first_asked_for_and_not_again(folder):
    train = tiny_imagenet(folder, validation_fraction=0).train
    for path in train.x.paths[1:]:
        path.unlink()
    assert train[:1][0].shape == (1, 64, 64, 3)
    train.x.paths[0].unlink()
    assert train[:1][0].shape == (1, 64, 64, 3)
    with pytest.raises(ValueError, match=f"{train.x.paths[1]} is not a readable image"):
        train[1:]


def test_the_whole_set_is_never_held_as_floats(folder):
    images = tiny_imagenet(folder).train.x
    images[:]
    held = [value for value in vars(images).values() if isinstance(value, np.ndarray)]
    assert all(array.dtype != np.float32 for array in held)


def test_a_model_trains_on_lazy_images(folder):
    dataset = tiny_imagenet(folder, validation_fraction=0.5)
    model = keras.Sequential(
        [keras.Input((64, 64, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(
        dataset.train.batches(2, shuffle=True),
        validation_data=dataset.validation.batches(2),
        shuffle=False,
        verbose=0,
    )


def test_an_unreadable_image_stops_the_training_and_is_named(folder):
    train = tiny_imagenet(folder, validation_fraction=0).train
    train.x.paths[3].write_bytes(b"no image")
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    # TensorFlow wraps the error in one of its own.
    with pytest.raises(Exception, match=f"{train.x.paths[3]} is not a readable image"):
        model.fit(train.batches(2), verbose=0)


@pytest.mark.parametrize("kept", [0, 100, 400])
def test_a_truncated_image_is_named(folder, kept):
    path = folder / "val" / "images" / "val_1.JPEG"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{path} is not a readable image"):
        tiny_imagenet(folder).test[:]


def test_an_image_of_another_size_is_named(folder):
    path = folder / "val" / "images" / "val_1.JPEG"
    write_image(path, 0, size=(32, 64))
    with pytest.raises(ValueError, match=f"{path} must have 64 x 64.*Received: 64 x 32 pixels"):
        tiny_imagenet(folder).test[:]


def write_png_header(path, width, height):
    """Writes the beginning of a picture, which is all of it that must be read."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (9000, "must have 64 x 64 pixels. Received: 9000 x 9000 pixels"),
        (12_000, "is not a readable image: .*decompression bomb"),  # a warning of Pillow's
        (20_000, "is not a readable image: .*decompression bomb"),
    ],
)
def test_an_image_of_far_too_many_pixels_is_named_and_not_decoded(folder, side, message):
    path = folder / "val" / "images" / "val_1.JPEG"
    write_png_header(path, side, side)
    with pytest.raises(ValueError, match=f"{path} {message}"):
        tiny_imagenet(folder).test[:]


@pytest.mark.parametrize(
    "name", ["wnids.txt", "words.txt", "val/val_annotations.txt", "val/images/val_1.JPEG"]
)
def test_a_missing_file_is_named_at_once(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"Missing file: .*{name.split('/')[-1]}"):
        tiny_imagenet(folder)


@pytest.mark.parametrize("name", ["wnids.txt", "words.txt", "val/val_annotations.txt"])
def test_a_list_that_is_not_text_is_named(folder, name):
    (folder / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{folder / name} is not a text file"):
        tiny_imagenet(folder)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("n02\nn01\nn02\n", "'n02'"),
        ("n02\n\nn01\n", "''"),
        ("n02\nn01\n\n", "''"),
        ("n02 \nn01\n", "'n02 '"),
    ],
)
def test_a_repeated_or_blank_class_is_named(folder, content, line):
    (folder / "wnids.txt").write_text(content)
    with pytest.raises(ValueError, match=f"wnids.txt must have the id.*Received: line={line}"):
        tiny_imagenet(folder)


@pytest.mark.parametrize(
    ("lines", "received"),
    [
        (["val_1.JPEG\tn02"], "1 lines, 1 of 2 images"),
        (["val_1.JPEG\tn02", "val_1.JPEG\tn01"], "2 lines, 1 of 2 images"),
        (["val_1.JPEG\tn02", "val_0.JPEG\tn01", "val_1.JPEG\tn02"], "3 lines, 2 of 2 images"),
    ],
)
def test_annotations_must_list_each_image_once(folder, lines, received):
    path = folder / "val" / "val_annotations.txt"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=f"{path} must list each image.*Received: {received}"):
        tiny_imagenet(folder)


def test_a_class_without_images_is_named(folder):
    with (folder / "wnids.txt").open("a") as file:
        file.write("n03\n")
    with pytest.raises(FileNotFoundError, match=r"n03.*must hold \*.JPEG.*Received: class=n03"):
        tiny_imagenet(folder)


def test_a_class_without_a_name_is_named(folder):
    (folder / "words.txt").write_text("n01\tdog\n")
    with pytest.raises(ValueError, match="words.txt must name every class.*Missing: n02"):
        tiny_imagenet(folder)


def test_a_label_outside_the_classes_names_the_file(folder):
    path = folder / "val" / "val_annotations.txt"
    path.write_text("val_1.JPEG\tn03\t0\t0\t9\t9\n")
    with pytest.raises(ValueError, match=f"Labels in {path} must be classes.*Received: line="):
        tiny_imagenet(folder)


@pytest.fixture
def origin(folder, tmp_path, monkeypatch):
    """The original archive, where the loader downloads it from."""
    archive = tmp_path / "origin.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent))
        file.writestr("../evil", "evil")
    # The function hides the module of the same name.
    module = sys.modules[tiny_imagenet.__module__]
    monkeypatch.setattr(module, "_URL", archive.as_uri())
    digest = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "_CHECKSUM", f"md5:{digest}")
    return archive


def test_the_archive_is_downloaded_checked_and_unpacked_once(origin, tmp_path):
    for _ in range(2):
        assert len(tiny_imagenet(cache_dir=tmp_path / "cache").test) == 2
        origin.unlink(missing_ok=True)
    kept = sorted((tmp_path / "cache" / "tiny_imagenet").iterdir())
    for name in (".tiny-imagenet-200.zip.1.part", ".unpacked.1.part"):
        old = tmp_path / "cache" / "tiny_imagenet" / name
        old.touch()
        os.utime(old, (time.time() - 90_000,) * 2)
    tiny_imagenet(cache_dir=tmp_path / "cache")
    assert sorted((tmp_path / "cache" / "tiny_imagenet").iterdir()) == kept


def test_nothing_of_the_archive_is_written_outside(origin, tmp_path):
    tiny_imagenet(cache_dir=tmp_path / "cache")
    assert not list(tmp_path.rglob("evil"))


def test_another_archive_than_the_original_is_refused(origin, tmp_path):
    origin.write_bytes(origin.read_bytes() + b"more")
    with pytest.raises(ValueError, match=f"{origin.as_uri()} must have the md5 checksum"):
        tiny_imagenet(cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "tiny_imagenet").iterdir()) == []


def test_an_unpacking_that_was_stopped_starts_again(origin, tmp_path, monkeypatch):
    def stop(archive, folder):
        (folder / "tiny-imagenet-200").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "unpack_archive", stop)
        with pytest.raises(KeyboardInterrupt):
            tiny_imagenet(cache_dir=tmp_path / "cache")
    assert len(tiny_imagenet(cache_dir=tmp_path / "cache").test) == 2


def test_the_real_subset_has_its_counts(real_data):
    dataset = tiny_imagenet(real_data("tiny-imagenet"))
    assert repr(dataset) == (
        "Dataset tiny_imagenet: x (64, 64, 3) float32, 20 classes, "
        "train 9000, validation 1000, test 1000"
    )
    assert np.bincount(dataset.train.y).tolist() == [450] * 20
    assert np.bincount(dataset.validation.y).tolist() == [50] * 20
    assert np.bincount(dataset.test.y).tolist() == [50] * 20
    assert dataset.class_names[:3] == ("Egyptian cat", "reel", "volleyball")
    x, _ = dataset.test[:]
    assert x.min() == 0
    assert x.max() == 1
    grey = (x == x[..., :1]).all(axis=(1, 2, 3))
    # 15 files of one channel, and a photograph in colour without any.
    assert grey.sum() == 16
