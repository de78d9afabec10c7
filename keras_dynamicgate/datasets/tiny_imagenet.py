"""Tiny ImageNet: photographs of 64x64 pixels in 200 classes."""

import shutil
from os import PathLike
from pathlib import Path

import numpy as np

from keras_dynamicgate.datasets.dataset import Dataset, Split
from keras_dynamicgate.datasets.reading.download import cache_folder, download
from keras_dynamicgate.datasets.reading.files import check_data_dir, find_file, read_text
from keras_dynamicgate.datasets.reading.image_files import ImageFiles
from keras_dynamicgate.datasets.reading.optional import import_optional
from keras_dynamicgate.datasets.reading.splitting import check_validation_fraction, stratified_split
from keras_dynamicgate.utils.files import remove_leftovers, written_at_once

_CITATION = (
    "Stanford CS231N, Tiny ImageNet Visual Recognition Challenge, 2015. "
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
)
_LICENCE = "ImageNet terms: non-commercial research and education; images belong to their owners"
# Checksum as recorded by other public projects that download the same file.
_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_CHECKSUM = "md5:90528d7ca1a48142e341f4ef8d21d0de"
_FOLDER = "tiny-imagenet-200"
_IMAGE_SIZE = (64, 64)


def tiny_imagenet(
    data_dir: str | PathLike[str] | None = None,
    *,
    validation_fraction: float = 0.1,
    seed: int = 0,
    cache_dir: str | PathLike[str] | None = None,
) -> Dataset:
    """Load Tiny ImageNet: 500 training and 50 test photographs of each of 200 classes.

    Images are decoded when a batch first asks for them, then kept as bytes (1.2 GB once all
    100,000 have been seen), never as floats. So `split.x` is not a NumPy array: read it with
    `split.batches()` or `split[rows]`.

    The labels of the official test images were never published. As is customary, the official
    validation images are the test split here, and the validation split is drawn from the
    training images.

    Args:
        data_dir: Folder with `wnids.txt`, `words.txt`, `train` and `val` as in the original
            archive (or the folder above it); `wnids.txt` says which classes are used.
            Defaults to `None`: the original archive (248 MB) is downloaded and unpacked.
        validation_fraction: Share of the training images, drawn from each class alike, that is
            kept for validation, in `[0, 1)`. Defaults to 0.1: 50 of each class.
        seed: Integer that fixes which images are drawn. Defaults to 0.
        cache_dir: Folder for the download. Defaults to `~/.keras/datasets/keras_dynamicgate`.

    Returns:
        A `Dataset`; samples have shape `(64, 64, 3)`, float32 in `[0, 1]`, `y` is int32, in the
        order of `wnids.txt`.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If a file is damaged, a label is outside the classes, or an argument is out
            of range. An image that cannot be decoded is reported when a batch asks for it.
        ImportError: If Pillow is not installed.

    Examples:
        >>> dataset = keras_dynamicgate.datasets.tiny_imagenet("data/tiny-imagenet")
        >>> x, y = dataset.train.batches(batch_size=4, shuffle=True)[0]
        >>> x.shape, y.shape
        ((4, 64, 64, 3), (4,))

    Reference:
        [Tiny ImageNet](http://cs231n.stanford.edu/tiny-imagenet-200.zip)
    """
    check_validation_fraction(validation_fraction)
    pil_image = import_optional("PIL.Image", "tiny_imagenet")
    folder = _download(cache_dir) if data_dir is None else _find(data_dir)
    wnids = _read_wnids(find_file(folder, ["wnids.txt"]))
    class_names = _read_class_names(find_file(folder, ["words.txt"]), wnids)
    test_paths, y_test = _list_test(folder / "val", wnids)
    paths, y = _list_train(folder / "train", wnids)
    kept, drawn = stratified_split(y, validation_fraction, seed)

    def split(chosen: list[Path], labels: np.ndarray) -> Split:
        return Split(ImageFiles(chosen, _IMAGE_SIZE, pil_image), labels)

    return Dataset(
        name="tiny_imagenet",
        train=split([paths[row] for row in kept], y[kept]),
        validation=split([paths[row] for row in drawn], y[drawn]),
        test=split(test_paths, y_test),
        class_names=class_names,
        citation=_CITATION,
        licence=_LICENCE,
    )


def _download(cache_dir: str | PathLike[str] | None) -> Path:
    cache = cache_folder(cache_dir, "tiny_imagenet")
    archive, unpacked = cache / f"{_FOLDER}.zip", cache / "unpacked"
    # Once it is unpacked, the archive is not needed and may have been deleted.
    if unpacked.is_dir():
        remove_leftovers(archive)
        remove_leftovers(unpacked)
    else:
        download(_URL, archive, checksum=_CHECKSUM)
        with written_at_once(unpacked) as part:
            shutil.unpack_archive(archive, part)
    return unpacked / _FOLDER


def _find(data_dir: str | PathLike[str]) -> Path:
    folder = check_data_dir(data_dir, "wnids.txt, words.txt, train and val")
    return folder / _FOLDER if (folder / _FOLDER).is_dir() else folder


def _read_lines(path: Path) -> list[str]:
    lines = read_text(path).splitlines()
    if not lines:
        raise ValueError(f"{path} must have at least one line. Received: an empty file")
    return lines


def _read_wnids(path: Path) -> list[str]:
    wnids = _read_lines(path)
    for row, wnid in enumerate(wnids):
        if not wnid or wnid != wnid.strip() or wnid in wnids[:row]:
            raise ValueError(
                f"{path} must have the id of a class on each line, each id once and no blanks. "
                f"Received: line={wnid!r}"
            )
    return wnids


def _read_class_names(path: Path, wnids: list[str]) -> tuple[str, ...]:
    words = dict(line.split("\t", 1) for line in _read_lines(path) if "\t" in line)
    missing = [wnid for wnid in wnids if wnid not in words]
    if missing:
        raise ValueError(f"{path} must name every class of wnids.txt. Missing: {missing[0]}")
    return tuple(words[wnid].split(",")[0].strip() for wnid in wnids)


def _list_train(folder: Path, wnids: list[str]) -> tuple[list[Path], np.ndarray]:
    paths: list[Path] = []
    labels: list[int] = []
    for label, wnid in enumerate(wnids):
        images = sorted((folder / wnid / "images").glob("*.JPEG"))
        if not images:
            raise FileNotFoundError(
                f"Missing files: {folder / wnid / 'images'} must hold *.JPEG images of a class "
                f"that wnids.txt names. Received: class={wnid}"
            )
        paths += images
        labels += [label] * len(images)
    return paths, np.array(labels, "int32")


def _list_test(folder: Path, wnids: list[str]) -> tuple[list[Path], np.ndarray]:
    annotations = find_file(folder, ["val_annotations.txt"])
    numbers = {wnid: label for label, wnid in enumerate(wnids)}
    present = {path.name for path in (folder / "images").glob("*.JPEG")}
    paths: list[Path] = []
    labels: list[int] = []
    for line in _read_lines(annotations):
        name, wnid = (line.split("\t") + [""])[:2]
        if wnid not in numbers:
            raise ValueError(
                f"Labels in {annotations} must be classes of wnids.txt. Received: line={line!r}"
            )
        if name not in present:
            raise FileNotFoundError(
                f"Missing file: {folder / 'images' / name}, which {annotations} lists"
            )
        paths.append(folder / "images" / name)
        labels.append(numbers[wnid])
    # Every listed image is present, so these are equal only if each is listed once.
    if not len(set(paths)) == len(paths) == len(present):
        raise ValueError(
            f"{annotations} must list each image of {folder / 'images'} once. "
            f"Received: {len(paths)} lines, {len(set(paths))} of {len(present)} images"
        )
    return paths, np.array(labels, "int32")
