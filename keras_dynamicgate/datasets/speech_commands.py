"""Speech Commands: one spoken word in one second, as log-mel features."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.datasets.dataset import Dataset, Split
from keras_dynamicgate.datasets.reading.audio import read_clip
from keras_dynamicgate.datasets.reading.download import cache_folder
from keras_dynamicgate.datasets.reading.feature_cache import cached_arrays, digest_files
from keras_dynamicgate.datasets.reading.files import check_data_dir
from keras_dynamicgate.datasets.reading.log_mel import PARAMETERS, log_mels
from keras_dynamicgate.datasets.reading.optional import check_installed, import_optional
from keras_dynamicgate.datasets.reading.speech_files import Clips, list_clips
from keras_dynamicgate.datasets.reading.tfds import import_tfds

_CITATION = (
    "P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, "
    "arXiv:1804.03209, 2018. https://arxiv.org/abs/1804.03209"
)
_LICENCE = "CC BY 4.0"
_SPLITS = ("train", "validation", "test")


def speech_commands(
    data_dir: str | PathLike[str] | None = None,
    *,
    cache_dir: str | PathLike[str] | None = None,
) -> Dataset:
    """Load Speech Commands as log-mel features: 49 frames (20 ms apart) of 40 mel bands.

    Clips are cut or filled with silence to one second. Features are the decibels of each mel
    band, from -80 to 20 dB scaled to 0 to 1. They are computed once, in parallel, and kept in
    `cache_dir` until the parameters or the clips change.

    The splits are the official ones; no speaker is in two of them.

    Args:
        data_dir: Folder with one subfolder of `.wav` or `.flac` clips (16 kHz, one channel) for
            each word. `validation_list.txt` and `testing_list.txt` say which clips are not for
            training; without them the official hash of the speaker does. Defaults to `None`:
            tensorflow-datasets downloads version 0.0.3 (2.4 GB), which has ten words,
            silence, and all other words as one class.
        cache_dir: Folder for the features. Defaults to `~/.keras/datasets/keras_dynamicgate`.

    Returns:
        A `Dataset`; `x` has shape `(clips, 49, 40)`, float32 in `[0, 1]`, `y` is int32, in the
        alphabetical order of the words (with `data_dir`).

    Raises:
        FileNotFoundError: If `data_dir` holds no clips, or a listed clip is missing.
        ValueError: If a clip is unreadable, truncated or in another format, or a list is not a text
            file.
        ImportError: If librosa is not installed, or tensorflow-datasets and pydub where they are
            needed.

    Examples:
        >>> dataset = keras_dynamicgate.datasets.speech_commands("data/speech_commands")
        >>> dataset.train.element_spec[0].shape
        (49, 40)

    Reference:
        [Warden, 2018](https://arxiv.org/abs/1804.03209)
    """
    if data_dir is None:
        (train, validation, test), class_names = _load_tfds(cache_dir)
    else:
        clips = list_clips(check_data_dir(data_dir, "one folder of clips for each word"))
        features = _clip_features(clips, Path(data_dir), cache_dir)
        chosen = [clips.splits == name for name in _SPLITS]
        train, validation, test = (Split(features[c], clips.labels[c]) for c in chosen)
        class_names = clips.class_names
    return Dataset(
        name="speech_commands",
        train=train,
        validation=validation,
        test=test,
        class_names=class_names,
        citation=_CITATION,
        licence=_LICENCE,
    )


def _clip_features(clips: Clips, folder: Path, cache_dir: str | PathLike[str] | None) -> np.ndarray:
    librosa = import_optional("librosa", "speech_commands")
    soundfile = import_optional("soundfile", "speech_commands")

    def compute() -> dict[str, np.ndarray]:
        def read(path: Path) -> np.ndarray:
            return read_clip(path, soundfile)

        return {"features": log_mels(clips.paths, len(clips.paths), read, librosa)}

    cache = cache_folder(cache_dir, "speech_commands")
    key = {"parameters": PARAMETERS, "clips": digest_files(clips.paths, folder)}
    arrays = cached_arrays(cache, key, compute)
    features: np.ndarray = arrays["features"]
    return features


def _load_tfds(cache_dir: str | PathLike[str] | None) -> tuple[list[Split], tuple[str, ...]]:
    tfds = import_tfds("speech_commands")
    # tensorflow-datasets asks for it only after the download of 2.4 GB.
    check_installed("pydub", "speech_commands")
    examples, info = tfds.load("speech_commands", split=list(_SPLITS), with_info=True)
    splits = []
    for name, split in zip(_SPLITS, examples, strict=True):
        key = {"parameters": PARAMETERS, "version": str(info.version), "split": name}
        splits.append(_tfds_split(tfds, split, key, cache_dir))
    return splits, tuple(info.features["label"].names)


def _tfds_split(
    tfds: Any, examples: Any, key: dict[str, Any], cache_dir: str | PathLike[str] | None
) -> Split:
    librosa = import_optional("librosa", "speech_commands")
    count = len(examples)

    def read(audio: np.ndarray) -> np.ndarray:
        return audio.astype("float32") / np.float32(2**15)

    def compute() -> dict[str, np.ndarray]:
        labels = []

        def waveforms() -> Iterator[np.ndarray]:
            for example in tfds.as_numpy(examples):
                labels.append(example["label"])
                yield example["audio"]

        features = log_mels(waveforms(), count, read, librosa)
        return {"features": features, "labels": np.array(labels, "int32")}

    cache = cache_folder(cache_dir, "speech_commands")
    arrays = cached_arrays(cache, key | {"clips": count}, compute)
    return Split(arrays["features"], arrays["labels"])
