"""Which arrays can be pictures with classes, without TensorFlow."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.data import array_values


class _Dataset:
    """What is used of a tf.data.Dataset."""

    def __init__(self, elements, cardinality=None):
        self._elements = elements
        self._cardinality = cardinality

    def as_numpy_iterator(self):
        return iter(self._elements)

    def cardinality(self):
        return len(self._elements) if self._cardinality is None else -1


def _images(n=3, shape=(4, 5, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def _labels(data):
    return [label for _, label in array_values.iterate_pairs(data)]


def _pixels(data):
    return [image for image, _ in array_values.iterate_pairs(data)]


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 1), (4, 5)])
def test_images_of_every_shape_are_given_one_by_one(shape):
    images = _images(3, shape)
    found = _pixels((images, [0, 1, 1]))
    for each, image in zip(found, images, strict=True):
        assert each.dtype == np.uint8
        np.testing.assert_array_equal(each, image.reshape(each.shape))
    assert found[0].shape == ((4, 5, 3) if shape[-1] == 3 else (4, 5))


def test_floats_are_rounded():
    images = np.array([[[0.4, 0.6], [254.5, 255.0]]])
    (found,) = _pixels((images, ["a"]))
    assert found.tolist() == [[0, 1], [254, 255]]


def test_images_of_different_sizes_come_in_a_list():
    images = [_images(1, (4, 5, 3))[0], _images(1, (7, 2))[0]]
    assert [p.shape for p in _pixels((images, ["a", "b"]))] == [
        (4, 5, 3),
        (7, 2),
    ]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([2, 0, 10], ["2", "0", "10"]),
        (np.array([2, 0, 10], np.int8), ["2", "0", "10"]),
        (np.array([[2], [0], [10]]), ["2", "0", "10"]),
        (np.array([2.0, 0.0, 10.0]), ["2", "0", "10"]),
        (["cat", "dog", "é"], ["cat", "dog", "é"]),
        (np.array([b"cat", b"dog", "é".encode()]), ["cat", "dog", "é"]),
        (np.array(["cat", "dog", "é"], object), ["cat", "dog", "é"]),
        (np.eye(3)[[1, 0, 2]], ["1", "0", "2"]),
        (np.eye(3, dtype=bool)[[1, 0, 2]], ["1", "0", "2"]),
        ([True, False, True], ["1", "0", "1"]),
    ],
)
def test_labels_become_names(labels, names):
    assert _labels((_images(), labels)) == names


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (_images(), [0, 1], "3 images but 2 labels"),
        (_images()[:0], [], "holds no image"),
        (_images(3, (4, 5, 4)), [0, 1, 1], r"shape \(4, 5, 4\); possible"),
        (_images(3, (0, 5, 3)), [0, 1, 1], "shape"),
        (_images()[0, 0], [0, 1, 1, 0, 1], r"Image 0 has the shape \(3,\)"),
        (_images() / 255, [0, 1, 1], "multiply them by 255"),
        (_images() / 127.5 - 1, [0, 1, 1], "0..255. Undo the preproc"),
        (_images().astype(int) * 2, [0, 1, 1], "Image 0 holds values from"),
        (_images() * np.nan, [0, 1, 1], "Image 0 holds NaN"),
        (_images() > 9, [0, 1, 1], "Image 0 has the dtype bool"),
        (_images(), [0.5, 1, 1], r"number 0\.5\. Arrays have one class"),
        (_images(), np.full((3, 2), 0.5), "must be one-hot"),
        (_images(), np.ones((3, 2)), "must be one-hot"),
        (_images(), np.zeros((3, 2, 2)), r"shape is \(3, 2, 2\)"),
        (_images(), [None, 1, 1], "got None"),
    ],
)
def test_impossible_values_are_refused(images, labels, message):
    with pytest.raises(errors.DataError, match=message):
        list(array_values.iterate_pairs((images, labels)))


def test_scaled_floats_are_noticed_early():
    images = _images(200) / 255.0
    found = array_values.iterate_pairs((images, [0] * 200))
    with pytest.raises(errors.DataError, match="multiply them by 255"):
        for _ in range(70):
            next(found)


def test_one_dark_image_among_floats_is_fine():
    images = _images().astype(float)
    images[0] = 0
    assert len(_pixels((images, [0, 1, 1]))) == 3


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 1), (4, 5)])
@pytest.mark.parametrize("one_hot", [False, True])
def test_dataset_gives_the_same_batched_or_not(shape, one_hot):
    images = _images(6, shape)
    labels = np.array([0, 1, 2, 0, 1, 2])
    encoded = np.eye(3)[labels] if one_hot else labels
    single = _Dataset(list(zip(images, encoded, strict=True)))
    batched = _Dataset([(images[:4], encoded[:4]), (images[4:], encoded[4:])])
    for data in (single, batched):
        assert _labels(data) == ["0", "1", "2", "0", "1", "2"]
        for found, image in zip(_pixels(data), images, strict=True):
            np.testing.assert_array_equal(found, image.reshape(found.shape))


def test_dataset_is_read_one_element_at_a_time():
    taken = []

    class Endless(_Dataset):
        def as_numpy_iterator(self):
            for number in range(10**9):
                taken.append(number)
                yield _images(1)[0], np.int64(number)

        def cardinality(self):
            return -2

    found = array_values.iterate_pairs(Endless([]))
    assert [next(found)[1] for _ in range(3)] == ["0", "1", "2"]
    assert len(taken) == 3


def test_dataset_without_end_is_refused():
    with pytest.raises(errors.DataError, match="repeat"):
        list(array_values.iterate_pairs(_Dataset([], cardinality=-1)))


def test_dataset_of_dictionaries_is_refused_with_a_hint():
    data = _Dataset([{"image": _images(1)[0], "label": 1}])
    with pytest.raises(errors.DataError, match="keys image, label.*as_superv"):
        list(array_values.iterate_pairs(data))


@pytest.mark.parametrize("data", [3, (1, 2, 3), {"image": 1}, None])
def test_other_things_are_refused(data):
    with pytest.raises(errors.DataError, match=r"\(images, labels\)"):
        list(array_values.iterate_pairs(data))
