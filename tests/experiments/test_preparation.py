import dataclasses

import numpy as np

from keras_dynamicgate.datasets import Dataset, Split
from keras_dynamicgate.experiments.preparation import (
    with_halved_images,
    with_mirror_images,
    with_shifted_clips,
)


def dataset(x):
    split = Split(np.asarray(x, "float32"), np.arange(len(x), dtype="int32"))
    return Dataset("some", split, split, split, ("a", "b"), "", "")


def test_mirror_images_follow_the_images_and_have_their_labels():
    images = np.arange(8).reshape(2, 2, 2, 1)
    prepared = with_mirror_images(dataset(images))
    x, y = prepared.train[[0, 2, 3]]
    np.testing.assert_array_equal(x[..., 0], [[[0, 1], [2, 3]], [[1, 0], [3, 2]], [[5, 4], [7, 6]]])
    np.testing.assert_array_equal(y, [0, 0, 1])
    assert len(prepared.train) == 4
    assert len(prepared.test) == 2


def test_shifted_clips_begin_later_and_repeat_the_frame_at_the_edge():
    prepared = with_shifted_clips(dataset([[[1], [2], [3]]]), frames=(1, -2))
    x, y = prepared.train[:]
    np.testing.assert_array_equal(x[..., 0], [[1, 2, 3], [1, 1, 2], [3, 3, 3]])
    np.testing.assert_array_equal(y, [0, 0, 0])


def test_halved_images_are_means_of_two_by_two_pixels():
    image = [[[0], [1], [0], [0]], [[0], [1], [0], [0.2]]]
    x, _ = with_halved_images(dataset([image])).train[:]
    # Bytes: 127.5 rounds to 128, 12.75 to 13.
    np.testing.assert_allclose(x[0, ..., 0], [[128 / 255, 13 / 255]])


def test_split_without_images_is_halved_like_the_others():
    some = dataset(np.zeros((1, 4, 6, 3)))
    none = Split(np.zeros((0, 4, 6, 3), "float32"), np.zeros(0, "int32"))
    prepared = with_halved_images(dataclasses.replace(some, validation=none))
    assert prepared.validation[:][0].shape == (0, 2, 3, 3)
    assert prepared.validation.element_spec == prepared.train.element_spec
