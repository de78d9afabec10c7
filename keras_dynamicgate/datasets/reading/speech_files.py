"""Find the clips of Speech Commands, and which split each belongs to."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from keras_dynamicgate.datasets.reading.files import read_text

SplitName = Literal["train", "validation", "test"]

_SUFFIXES = (".wav", ".flac")
_LISTS: dict[str, SplitName] = {
    "validation_list.txt": "validation",
    "testing_list.txt": "test",
}
# The rule that the data set's authors published; changing a number here changes the splits.
_HASH_MODULUS = 2**27
_VALIDATION_PERCENT = 10
_TEST_PERCENT = 10


@dataclass(frozen=True)
class Clips:
    """Recordings in word folders.

    Args:
        paths: One file for each clip, in the order of their names.
        labels: Index of each clip's word in `class_names`, shape `(clips,)`, int32.
        splits: `"train"`, `"validation"` or `"test"` for each clip, shape `(clips,)`.
        class_names: The words, in alphabetical order.
    """

    paths: list[Path]
    labels: np.ndarray
    splits: np.ndarray
    class_names: tuple[str, ...]


def list_clips(folder: Path) -> Clips:
    """List the clips of every word folder.

    The split comes from `validation_list.txt` and `testing_list.txt` where they exist, otherwise
    from the official hash of the speaker. Folders whose names begin with `_` hold no words.

    Args:
        folder: Folder with one subfolder for each word.

    Returns:
        The clips, in the order of their names.

    Raises:
        FileNotFoundError: If there are no clips, one of the two lists is missing, or a clip that
            a list names is missing.
        ValueError: If a list is not a text file.

    Examples:
        >>> clips = list_clips(Path("speech_commands_v0.02"))
        >>> clips.class_names[:3]
        ('backward', 'bed', 'bird')
    """
    words = [f for f in sorted(folder.iterdir()) if f.is_dir() and f.name[0] not in "_."]
    clips_of = {word.name: _clips_in(word) for word in words}
    class_names = tuple(name for name, clips in clips_of.items() if clips)
    if not class_names:
        raise FileNotFoundError(
            "Argument `data_dir` must hold a folder of .wav or .flac clips for each word. "
            f"Received: data_dir={folder}"
        )
    paths = [path for name in class_names for path in clips_of[name]]
    labels = [label for label, name in enumerate(class_names) for _ in clips_of[name]]
    listed = _read_lists(folder, set(class_names), {_clip_name(path) for path in paths})
    if listed is None:
        splits = [hash_split(path.name) for path in paths]
    else:
        splits = [listed.get(_clip_name(path), "train") for path in paths]
    return Clips(paths, np.array(labels, "int32"), np.array(splits), class_names)


def hash_split(file_name: str) -> SplitName:
    """Return the official split of a clip, which depends on its speaker alone.

    Args:
        file_name: Name such as `"0a7c2a8d_nohash_0.wav"`; what follows `_nohash_` is ignored.

    Returns:
        `"train"`, `"validation"` or `"test"`.

    Examples:
        >>> hash_split("0a7c2a8d_nohash_0.wav") == hash_split("0a7c2a8d_nohash_4.wav")
        True

    Reference:
        [Warden, 2018, section 7](https://arxiv.org/abs/1804.03209)
    """
    speaker = re.sub(r"_nohash_.*$", "", file_name)
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % _HASH_MODULUS
    percent = number * 100 / (_HASH_MODULUS - 1)
    if percent < _VALIDATION_PERCENT:
        return "validation"
    return "test" if percent < _VALIDATION_PERCENT + _TEST_PERCENT else "train"


def _clips_in(folder: Path) -> list[Path]:
    named = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    # Not `is_file`: a broken link must raise an error later, not disappear.
    return sorted(path for path in named if not path.is_dir())


def _clip_name(path: Path) -> str:
    # Without the suffix: the official lists say .wav also where the clips are .flac.
    return f"{path.parent.name}/{path.stem}"


def _read_lists(folder: Path, words: set[str], present: set[str]) -> dict[str, SplitName] | None:
    lists = {folder / name: split for name, split in _LISTS.items()}
    if not any(path.is_file() for path in lists):
        return None
    listed: dict[str, SplitName] = {}
    for path, split in lists.items():
        if not path.is_file():
            raise FileNotFoundError(f"Missing file: {path}, since the other split list is there")
        for line in read_text(path).split():
            clip = _clip_name(Path(line))
            if clip not in present and clip.split("/")[0] in words:
                raise FileNotFoundError(f"Missing file: {folder / line}, which {path} lists")
            listed[clip] = split
    return listed
