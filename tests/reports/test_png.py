import base64
import struct
import zlib

import numpy as np
import pytest

from keras_dynamicgate.reports import png


def decode(address):
    """Give the header's size and kind of colour, and the rows of pixels without their filter."""
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            kind + data
        )
        chunks[kind] = data
        at += 12 + length
    width, height, depth, color = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), "uint8").reshape(height, -1)
    assert not rows[:, 0].any()
    return (width, height, color), rows[:, 1:]


def test_values_become_levels_of_grey():
    image = np.array([[0.0, 1.0, 2.0, np.nan]] * 4)
    size, rows = decode(png.data_uri(image, 0.0, 2.0))
    assert size == (4, 4, 0)
    np.testing.assert_array_equal(rows, [[0, 128, 255, 0]] * 4)


def test_three_channels_are_colours():
    size, rows = decode(png.data_uri(np.ones((5, 4, 3), "uint8"), 0, 1))
    assert size == (4, 5, 2)
    assert rows.shape == (5, 12)


def test_large_images_are_thinned_out():
    size, _ = decode(png.data_uri(np.zeros((200, 100)), 0, 1))
    assert size == (34, 67, 0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 8), True),
        ((28, 28, 1), True),
        ((32, 32, 3), True),
        ((64,), False),
        ((2, 100), False),
        ((16, 16, 8), False),
    ],
)
def test_images_are_known_by_their_shape(shape, expected):
    assert png.is_image(np.zeros(shape)) is expected


def test_limits_leave_out_what_is_not_finite():
    assert png.limits(np.array([1.0, np.inf, -2.0, np.nan])) == (-2.0, 1.0)
    assert png.limits(np.array([np.nan])) == (0.0, 1.0)
