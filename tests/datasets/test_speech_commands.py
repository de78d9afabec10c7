import shutil
import sys

import numpy as np
import pytest
import soundfile

from keras_dynamicgate.datasets import speech_commands
from keras_dynamicgate.datasets.reading.speech_files import hash_split, list_clips

pytestmark = pytest.mark.one_backend("torch")

TONE = (8000 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)).astype("int16")
LISTED = {"validation_list.txt": "go/b_nohash_0.wav", "testing_list.txt": "up/c_nohash_0.wav"}


def write_clip(path, waveform=TONE, rate=16_000):
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, waveform, rate, subtype="PCM_16")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "speech"
    root.mkdir()
    write_clip(root / "_background_noise_" / "hum.wav")
    for word, suffix in (("up", "flac"), ("go", "wav")):
        for speaker in "abc":
            write_clip(root / word / f"{speaker}_nohash_0.{suffix}")
    for name, clip in LISTED.items():
        (root / name).write_text(clip + "\n")
    return root


@pytest.fixture
def cache(keras_home):
    return keras_home / "datasets" / "keras_dynamicgate" / "speech_commands"


def test_lists_decide_the_splits_whatever_the_suffix(folder):
    clips = list_clips(folder)
    assert clips.class_names == ("go", "up")
    assert [path.stem[0] for path in clips.paths] == ["a", "b", "c", "a", "b", "c"]
    assert clips.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert clips.splits.tolist() == ["train", "validation", "train", "train", "train", "test"]


def test_without_lists_the_speaker_decides(folder):
    for name in LISTED:
        (folder / name).unlink()
    by_speaker = [hash_split(f"{speaker}_nohash_7.wav") for speaker in "abc"]
    assert list_clips(folder).splits.tolist() == by_speaker * 2


def test_the_hash_is_the_official_one():
    # Entries of the published lists and of neither.
    assert hash_split("026290a7_nohash_0.wav") == "validation"
    assert hash_split("0a7c2a8d_nohash_0.wav") == "train"
    assert hash_split("any_nohash_0.wav") == hash_split("any_nohash_12.flac")


def test_the_dataset_has_49_frames_of_40_bands(folder):
    dataset = speech_commands(folder)
    assert repr(dataset) == (
        "Dataset speech_commands: x (49, 40) float32, 2 classes, train 4, validation 1, test 1"
    )
    assert dataset.train.y.tolist() == [0, 0, 1, 1]
    # Lossless and uncompressed clips of the same sound have the same features.
    np.testing.assert_array_equal(dataset.validation.x, dataset.test.x)


def test_features_are_computed_once(folder, cache, capsys):
    first = speech_commands(folder)
    assert "6/6" in capsys.readouterr().out
    assert len(list(cache.iterdir())) == 1
    second = speech_commands(folder)
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(first.train.x, second.train.x)


def test_a_changed_clip_is_computed_again(folder, cache):
    speech_commands(folder)
    write_clip(folder / "up" / "a_nohash_0.flac", np.zeros(16_000, "int16"))
    train = speech_commands(folder).train
    assert len(list(cache.iterdir())) == 2
    assert train.x[2].max() == 0
    assert train.x[3].max() > 0


def test_a_wav_clip_rewritten_in_the_same_size_is_computed_again(folder):
    path = folder / "go" / "a_nohash_0.wav"
    before, size = speech_commands(folder).train.x, path.stat().st_size
    write_clip(path, np.zeros(16_000, "int16"))
    after = speech_commands(folder).train.x
    assert path.stat().st_size == size
    assert before[0].max() > 0
    assert after[0].max() == 0
    np.testing.assert_array_equal(after[1:], before[1:])


def test_another_folder_with_the_same_names_and_sizes_has_its_own_features(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    write_clip(other / "go" / "a_nohash_0.wav", TONE[::-1] // 2)
    assert (speech_commands(folder).train.x[0] != speech_commands(other).train.x[0]).any()


def test_the_cache_folder_can_be_named(folder, cache, tmp_path):
    speech_commands(folder, cache_dir=tmp_path / "mine")
    assert len(list((tmp_path / "mine" / "speech_commands").iterdir())) == 1
    assert not cache.exists()


@pytest.mark.parametrize("name", ["go/a_nohash_0.wav", "up/a_nohash_0.flac"])
@pytest.mark.parametrize("kept", [0, 20, 1000, -10])
def test_a_truncated_clip_is_named_and_leaves_no_cache(folder, cache, name, kept):
    path = folder / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{path} is (not a readable clip|truncated|empty)"):
        speech_commands(folder)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("waveform", "rate", "received"),
    [
        (TONE[:8000], 8000, "8000 Hz"),
        (np.stack([TONE, TONE], axis=1), 16_000, r"shape=\(16000, 2\)"),
        (TONE[:0], 16_000, "0 of 0 samples"),
    ],
)
def test_a_clip_in_another_format_is_named(folder, waveform, rate, received):
    path = folder / "go" / "a_nohash_0.wav"
    write_clip(path, waveform, rate)
    with pytest.raises(ValueError, match=f"{path} .*Received: .*{received}"):
        speech_commands(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_clip_with_samples_that_are_not_finite_is_named(folder, value):
    path = folder / "go" / "a_nohash_0.wav"
    waveform = np.zeros(16_000, "float32")
    waveform[7] = value
    soundfile.write(path, waveform, 16_000, subtype="FLOAT")
    with pytest.raises(ValueError, match=f"{path} must hold finite .*Received: sample={value}"):
        speech_commands(folder)


def test_a_folder_with_the_name_of_a_clip_is_no_clip(folder):
    (folder / "go" / "d_nohash_0.wav").mkdir()
    assert len(list_clips(folder).paths) == 6


def test_a_link_to_a_clip_that_is_gone_is_named(folder):
    path = folder / "go" / "d_nohash_0.wav"
    path.symlink_to(folder / "gone.wav")
    with pytest.raises(FileNotFoundError, match=path.name):
        speech_commands(folder)


@pytest.mark.parametrize("name", LISTED)
def test_a_list_that_is_not_text_is_named(folder, name):
    (folder / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{folder / name} is not a text file"):
        speech_commands(folder)


def test_a_listed_clip_that_is_missing_is_named(folder):
    (folder / "go" / "b_nohash_0.wav").unlink()
    with pytest.raises(FileNotFoundError, match="go/b_nohash_0.wav, which .*validation_list.txt"):
        speech_commands(folder)


def test_listed_clips_of_words_that_are_not_there_do_not_matter(folder):
    (folder / "testing_list.txt").write_text("bird/a_nohash_0.wav\n")
    assert len(speech_commands(folder).test) == 0


@pytest.mark.parametrize("name", LISTED)
def test_one_list_without_the_other_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"Missing file: .*{name}"):
        speech_commands(folder)


def test_a_folder_without_clips_says_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="`data_dir` must hold a folder of .wav or .flac"):
        speech_commands(tmp_path)


def test_the_real_subset_has_its_counts_and_the_official_splits(real_data):
    clips = list_clips(real_data("speech_commands"))
    assert clips.class_names == ("bed", "cat", "down", "go", "happy", "left", "right", "up")
    for name, count in (("train", 320), ("validation", 50), ("test", 80)):
        assert np.bincount(clips.labels[clips.splits == name]).tolist() == [count] * 8
    assert [hash_split(path.name) for path in clips.paths] == clips.splits.tolist()


def test_real_clips_give_finite_features_in_range(real_data, tmp_path):
    originals = real_data("speech_commands")
    for word in ("bed", "up"):
        (tmp_path / word).mkdir()
        for clip in sorted((originals / word).iterdir())[:6]:
            (tmp_path / word / clip.name).symlink_to(clip)
    dataset = speech_commands(tmp_path)
    x = np.concatenate([dataset.train.x, dataset.validation.x, dataset.test.x])
    assert x.shape == (12, 49, 40)
    assert x.min() >= 0
    assert x.max() <= 1
    assert 0.1 < x.mean() < 0.6
    assert x.std() > 0.1


def test_the_module_needs_soundfile_only_when_called():
    assert "soundfile" not in vars(sys.modules[speech_commands.__module__])
