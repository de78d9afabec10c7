"""Turn clips of one second into log-mel features."""

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.datasets.reading.audio import SAMPLE_RATE

NUM_MELS = 40
NUM_FRAMES = 49
_FFT_LENGTH = 512
_WINDOW_LENGTH = 480
_HOP_LENGTH = 320
_LOWEST_DB = -80.0
_HIGHEST_DB = 20.0
_CHUNK = 256

# All that decides the features: cached ones are used only if this is unchanged.
PARAMETERS = {
    "version": 1,
    "sample_rate": SAMPLE_RATE,
    "fft_length": _FFT_LENGTH,
    "window_length": _WINDOW_LENGTH,
    "hop_length": _HOP_LENGTH,
    "num_mels": NUM_MELS,
    "decibels": [_LOWEST_DB, _HIGHEST_DB],
}


def log_mel(waveform: np.ndarray, librosa: Any) -> np.ndarray:
    """Return the log-mel features of one clip.

    The clip is cut or filled with silence to one second. Each of the 49 frames is a window of
    30 ms, every 20 ms; each of the 40 values is the power in one mel band in decibels, clipped
    to -80 to 20 dB and scaled to 0 to 1 with these constants, so nothing is fitted to the data.

    Args:
        waveform: Samples in `[-1, 1]` at 16 kHz, shape `(samples,)`, float32.
        librosa: The module `librosa`.

    Returns:
        Features of shape `(49, 40)`, float32 in `[0, 1]`.

    Examples:
        >>> log_mel(np.zeros(16000, "float32"), librosa).max()
        0.0
    """
    second = np.zeros(SAMPLE_RATE, "float32")
    second[: len(waveform)] = waveform[:SAMPLE_RATE]
    power = librosa.feature.melspectrogram(
        y=second,
        sr=SAMPLE_RATE,
        n_fft=_FFT_LENGTH,
        win_length=_WINDOW_LENGTH,
        hop_length=_HOP_LENGTH,
        n_mels=NUM_MELS,
        center=False,
    )
    decibels = librosa.power_to_db(power, top_db=None)
    scaled = (decibels - _LOWEST_DB) / (_HIGHEST_DB - _LOWEST_DB)
    features: np.ndarray = np.clip(scaled, 0, 1).T.astype("float32")
    return features


def log_mels(
    items: Iterable[Any], count: int, read: Callable[[Any], np.ndarray], librosa: Any
) -> np.ndarray:
    """Compute the features of many clips in parallel, with a progress bar.

    Args:
        items: What `read` turns into waveforms, such as paths.
        count: Number of items, for the progress bar.
        read: Function from an item to samples in `[-1, 1]` at 16 kHz.
        librosa: The module `librosa`.

    Returns:
        Features of shape `(count, 49, 40)`, float32.

    Examples:
        >>> log_mels(waveforms, len(waveforms), lambda waveform: waveform, librosa).shape
        (3, 49, 40)
    """
    features = np.empty((count, NUM_FRAMES, NUM_MELS), "float32")
    progress = keras.utils.Progbar(count, unit_name="clip")
    items, done = iter(items), 0
    # Threads are enough: reading and transforms run outside Python's lock. Chunks keep a stream
    # of waveforms from being read ahead as a whole.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(itertools.islice(items, _CHUNK)):
            computed = pool.map(lambda item: log_mel(read(item), librosa), chunk)
            for row, feature in enumerate(computed, start=done):
                features[row] = feature
            done += len(chunk)
            progress.update(done)
    return features[:done]
