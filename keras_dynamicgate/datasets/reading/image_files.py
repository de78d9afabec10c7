"""Images that stay on disk until a batch asks for them."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.datasets.reading.arrays import scale_images
from keras_dynamicgate.datasets.reading.files import errors_as


class ImageFiles:
    """A sequence of image files that reads like an array and decodes on demand.

    An image is decoded when it is first asked for and kept as bytes, so that later epochs need
    not decode it again; floats exist for one batch at a time. Grey-scale images become RGB.

    Args:
        paths: Image files, all of the same size.
        image_size: Height and width in pixels.
        pil_image: The module `PIL.Image`.

    Examples:
        >>> images = ImageFiles([Path("a.jpeg"), Path("b.jpeg")], (64, 64), PIL.Image)
        >>> images.shape, images[:1].dtype
        ((2, 64, 64, 3), dtype('float32'))
    """

    dtype = np.dtype("float32")

    def __init__(self, paths: list[Path], image_size: tuple[int, int], pil_image: Any) -> None:
        self.paths = paths
        self.shape = (len(paths), *image_size, 3)
        self._pil_image = pil_image
        # The operating system gives the memory page by page, as images arrive.
        self._pixels = np.empty(self.shape, "uint8")
        self._decoded = np.zeros(len(paths), "bool")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> np.ndarray:
        """Return the images of `rows` as float32 in `[0, 1]`."""
        rows = np.arange(len(self))[rows]
        for row in rows[~self._decoded[rows]]:
            self._pixels[row] = self._decode(self.paths[row])
            self._decoded[row] = True
        return scale_images(self._pixels[rows])

    def _decode(self, path: Path) -> np.ndarray:
        unreadable = f"{path} is not a readable image"
        with errors_as(unreadable):
            image = self._pil_image.open(path)
        with image:
            # Before it is decoded: a small file can announce more pixels than memory holds.
            if (image.height, image.width) != self.shape[1:3]:
                raise ValueError(
                    f"{path} must have {self.shape[1]} x {self.shape[2]} pixels. "
                    f"Received: {image.height} x {image.width} pixels"
                )
            with errors_as(unreadable):
                return np.asarray(image.convert("RGB"))
