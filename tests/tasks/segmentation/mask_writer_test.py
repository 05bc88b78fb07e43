import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tf_finetune.tasks.segmentation import mask_writer

NAMES = ("sky", "road")


def _files(paths, folder):
    return mask_writer.MaskFiles(
        [str(path) for path in paths],
        NAMES,
        folder=folder,
        resize="squash",
        top_k=2,
    )


def test_names_of_files_never_meet():
    assert mask_writer.build_unique_stems(["/a/1.jpg", "/a/2.jpg"]) == [
        "1",
        "2",
    ]
    assert mask_writer.build_unique_stems(["/a/x/1.jpg", "/a/y/1.jpg"]) == [
        "x/1",
        "y/1",
    ]
    assert mask_writer.build_unique_stems(["/a/1.jpg", "/a/1.png"]) == [
        "1.jpg",
        "1.png",
    ]


def test_masks_and_overlays_have_the_picture_s_own_size(tmp_path):
    path = tmp_path / "wide.png"
    Image.new("RGB", (20, 10), (100, 100, 100)).save(path)
    probabilities = np.zeros([1, 4, 4, 2], "float32")
    probabilities[:, :, :2, 0] = probabilities[:, :, 2:, 1] = 1
    (row,) = _files([path], tmp_path / "out").write_squares(
        iter([probabilities])
    )
    mask = np.array(Image.open(row.mask))
    np.testing.assert_array_equal(mask, [[0] * 10 + [1] * 10] * 10)
    overlay = np.array(Image.open(row.overlay))
    assert overlay.shape == (10, 20, 3)
    assert (overlay[0, 0] != overlay[0, -1]).any()
    assert row.shares == (("sky", 0.5), ("road", 0.5))


def test_windows_see_pictures_at_their_own_resolution(tmp_path):
    pixels = np.zeros([30, 50, 3], "uint8")
    pixels[:, 25:] = 200
    path = tmp_path / "large.png"
    Image.fromarray(pixels).save(path)

    def predict(images):
        is_light = images[..., :1] > 100
        return np.concatenate([~is_light, is_light], axis=-1).astype("float32")

    (row,) = _files([path], tmp_path / "out").write_windows(
        predict, size=16, overlap=0.5
    )
    np.testing.assert_array_equal(
        np.array(Image.open(row.mask)), pixels[..., 0] > 100
    )


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 255, [75, 110, 3])


def _pixelwise(batch):
    """A model that looks at a pixel and at nothing else."""
    return np.stack([batch.sum(axis=-1), batch[..., 0] ** 0.5], axis=-1)


def _blurred(batch):
    """A model that looks at 9 × 9 pixels, and sees black around a window."""
    return ndimage.uniform_filter(batch, [0, 9, 9, 0], mode="constant")


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_a_pixelwise_model_gives_what_it_gives_in_one_go(image, overlap):
    found = mask_writer.predict_image(
        _pixelwise, image, size=32, overlap=overlap
    )
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, _pixelwise(image), rtol=1e-4)


def test_away_from_borders_windows_leave_no_seams(image):
    found = mask_writer.predict_image(_blurred, image, size=64)
    expected = _blurred(image[np.newaxis])[0]
    inside = np.s_[5:-5, 5:-5]
    off = np.abs(found - expected)[inside]
    # The window's rim, where it sees black, has little weight.
    assert off.max() < 0.04 * expected.max()
    rim = _blurred(image[np.newaxis, :64, :64])[0, :, 59:]
    assert np.abs(rim - expected[:64, 59:64]).max() > 0.2 * expected.max()


@pytest.mark.parametrize("shape", [(64, 64), (40, 64), (20, 30)])
def test_what_fits_into_a_window_is_seen_in_one(shape):
    image = np.random.default_rng(0).uniform(0, 255, [*shape, 3])
    seen = []

    def model(batch):
        seen.append(batch)
        return _blurred(batch)

    found = mask_writer.predict_image(model, image, size=64)
    ((window,),) = seen
    height, width = shape
    np.testing.assert_array_equal(
        window[:height, :width], image.astype("float32")
    )
    expected = _blurred(window[np.newaxis])[0, :height, :width]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_windows_are_evenly_spread_and_reach_the_end():
    assert mask_writer.find_window_starts(64, 64, 0.5) == [0]
    assert mask_writer.find_window_starts(65, 64, 0.5) == [0, 1]
    assert mask_writer.find_window_starts(128, 64, 0.5) == [0, 32, 64]
    for length in range(64, 300, 7):
        found = mask_writer.find_window_starts(length, 64, 0.25)
        assert found[0] == 0 and found[-1] == length - 64
        assert max(np.diff(found), default=0) <= 49


def test_windows_are_predicted_in_batches(image):
    sizes = []

    def model(batch):
        sizes.append(len(batch))
        return _pixelwise(batch)

    mask_writer.predict_image(model, image, size=32, overlap=0.0, batch_size=5)
    # 3 × 4 windows.
    assert sizes == [5, 5, 2]
