"""Read one clip, and notice when it is cut short."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.datasets.reading.files import errors_as

SAMPLE_RATE = 16_000


def read_clip(path: Path, soundfile: Any) -> np.ndarray:
    """Read a `.wav` or `.flac` clip of one channel at 16 kHz.

    Args:
        path: The file.
        soundfile: The module `soundfile`.

    Returns:
        Samples in `[-1, 1]`, shape `(samples,)`, float32.

    Raises:
        ValueError: If the file is unreadable, truncated, empty, not finite, or of another format.

    Examples:
        >>> read_clip(Path("bed/00176480_nohash_0.wav"), soundfile).shape
        (16000,)
    """
    _check_not_cut(path)
    with errors_as(f"{path} is not a readable clip"), soundfile.SoundFile(path) as file:
        announced, rate = file.frames, file.samplerate
        waveform: np.ndarray = file.read(dtype="float32")
    if rate != SAMPLE_RATE or waveform.ndim != 1:
        raise ValueError(
            f"{path} must have one channel at {SAMPLE_RATE} Hz. "
            f"Received: {rate} Hz, shape={waveform.shape}"
        )
    if len(waveform) == 0 or len(waveform) != announced:
        raise ValueError(
            f"{path} is empty or truncated. Received: {len(waveform)} of {announced} samples"
        )
    finite = np.isfinite(waveform)
    if not finite.all():
        raise ValueError(
            f"{path} must hold finite samples. Received: sample={waveform[~finite][0]}"
        )
    return waveform


def _check_not_cut(path: Path) -> None:
    # The decoder reads a shortened .wav without an error, so the length in its header is compared.
    with path.open("rb") as file:
        header = file.read(8)
    announced = int.from_bytes(header[4:8], "little") + 8
    streamed = announced == 0xFFFFFFFF + 8
    if header[:4] == b"RIFF" and not streamed and path.stat().st_size < announced:
        raise ValueError(
            f"{path} is truncated: its header announces {announced} bytes. "
            f"Received: {path.stat().st_size} bytes"
        )
