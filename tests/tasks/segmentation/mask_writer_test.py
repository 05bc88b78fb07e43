import numpy as np
from PIL import Image

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
