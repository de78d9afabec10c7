import librosa
import numpy as np
import pytest

from keras_dynamicgate.datasets.reading.log_mel import log_mel, log_mels

pytestmark = pytest.mark.one_backend("torch")

SECOND = np.arange(16_000) / 16_000


def tone(frequency, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * frequency * SECOND)).astype("float32")


def test_silence_is_zero_everywhere():
    features = log_mel(np.zeros(16_000, "float32"), librosa)
    assert features.shape == (49, 40)
    assert features.dtype == "float32"
    assert (features == 0).all()


def test_a_higher_tone_is_loudest_in_a_higher_band():
    bands = [int(log_mel(tone(f), librosa).mean(axis=0).argmax()) for f in (200, 1000, 4000)]
    # Mel bands are 41st parts of 0 to 45.25 mel; 200 Hz is 3, 1000 Hz 15 and 4000 Hz 35.2 mel.
    assert bands == [2, 13, 31]


def test_ten_decibels_are_a_tenth():
    # Both are inside the range, so only the power decides: half the amplitude is 6.02 dB less.
    loud, soft = log_mel(tone(1000, 0.02), librosa), log_mel(tone(1000, 0.01), librosa)
    np.testing.assert_allclose((loud - soft)[:, 13], 0.0602, atol=1e-4)


def test_a_short_clip_is_filled_with_silence_and_a_long_one_is_cut():
    half = log_mel(tone(1000)[:8000], librosa)
    assert (half[:23] > 0).any(axis=1).all()
    assert (half[26:] == 0).all()
    whole = log_mel(tone(1000), librosa)
    longer = log_mel(np.concatenate([tone(1000), tone(4000)]), librosa)
    np.testing.assert_array_equal(longer, whole)


def test_many_clips_keep_their_order_across_chunks():
    clips = [tone(1000, 0.0001 * (number + 1)) for number in range(300)]
    features = log_mels(iter(clips), 300, lambda clip: clip, librosa)
    assert features.shape == (300, 49, 40)
    for number in (0, 255, 256, 299):
        np.testing.assert_array_equal(features[number], log_mel(clips[number], librosa))


def test_a_failing_clip_stops_everything():
    def read(clip):
        raise ValueError("clip 7 is not readable")

    with pytest.raises(ValueError, match="clip 7 is not readable"):
        log_mels([1], 1, read, librosa)
