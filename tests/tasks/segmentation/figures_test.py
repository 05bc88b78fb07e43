"""Masks are judged at the pictures' own size."""

import numpy as np
import pytest
import sample_pictures
from PIL import Image
from sklearn import metrics

from tf_finetune.data import examples
from tf_finetune.tasks.segmentation import figures, labels

NAMES = ("sky", "road")


def picture(folder, number, mask, names=NAMES):
    """A picture of the test split with a prepared mask."""
    mask = np.asarray(mask, "uint8")
    path = folder / f"{number}.png"
    Image.fromarray(mask).save(path)
    pixels = [int((mask == k).sum()) for k in (*range(len(names)), 255)]
    return examples.Picture(
        path=f"{number}.jpg",
        label=examples.Mask(
            path="", indices=str(path), pixels=tuple(pixels), names=names
        ),
        sha256=str(number),
        width=mask.shape[1],
        height=mask.shape[0],
        split="test",
    )


def data(pictures, resize="squash"):
    return sample_pictures.make_data(NAMES, pictures, resize=resize)


def judged(found, *batches):
    judge = figures.FIGURES.create_evaluator(found, "test", seed=0)
    for batch in batches:
        judge.add(np.asarray(batch, "float32"))
    return judge.figures()


def halves(size=8):
    """Probabilities: the left half is sky, the right half road."""
    left = np.zeros([size, size, 2])
    left[:, : size // 2, 0] = left[:, size // 2 :, 1] = 1
    return left


def test_every_pixel_of_every_size_counts_and_the_ignored_ones_do_not(tmp_path):
    small = np.zeros([4, 6], "uint8")
    large = np.ones([10, 20], "uint8")
    large[0] = 255
    found = judged(
        data([picture(tmp_path, 0, small), picture(tmp_path, 1, large)]),
        [halves(), halves()],
    )
    assert found["pixels"] == 24 + 180
    # By hand: half of each is right.
    assert found["pixel_accuracy"] == pytest.approx(0.5)
    assert found["confusion_matrix"] == [[12, 12], [90, 90]]
    assert found["mean_iou"] == pytest.approx((12 / 114 + 90 / 192) / 2)


def test_batches_may_be_of_any_size(tmp_path):
    pictures = [
        picture(tmp_path, n, np.full([5, 5 + n], n % 2)) for n in range(3)
    ]
    together = judged(data(pictures), [halves()] * 3)
    singly = judged(data(pictures), [halves()], [halves()] * 2)
    assert together == singly


def test_other_data_may_name_its_classes_in_another_order(tmp_path):
    mask = np.zeros([4, 4], "uint8")
    mask[:, 2:] = 1
    same = picture(tmp_path, 0, mask)
    swapped = picture(tmp_path, 1, 1 - mask, names=NAMES[::-1])
    assert judged(data([same, swapped]), [halves(), halves()])["mean_iou"] == 1


def test_padding_is_left_out(tmp_path):
    found = data([picture(tmp_path, 0, np.zeros([4, 8]))], resize="pad")
    probabilities = np.zeros([8, 8, 2])
    probabilities[..., 1] = 1
    probabilities[2:6] = (1, 0)
    assert judged(found, [probabilities])["pixel_accuracy"] == 1


def test_baselines_are_chance_and_the_commonest_class(tmp_path):
    mask = np.zeros([4, 4], "uint8")
    mask[0] = 1
    found = data([picture(tmp_path, 0, mask)])
    described = labels.LABELS.describe(found)
    described["masks"]["train"] = described["masks"]["test"]
    trivial = figures.FIGURES.compute_baselines(described, found, "test")
    most = trivial["most_frequent_class"]
    assert most["class"] == "sky"
    assert most["pixel_accuracy"] == pytest.approx(0.75)
    assert most["mean_iou"] == pytest.approx(0.75 / 2)
    chance = figures.compute_chance([12, 4])
    assert trivial["chance"] == chance
    assert chance["pixel_accuracy"] == pytest.approx(0.5)


def test_the_printed_result_fits_the_screen_and_names_all(tmp_path):
    found = data([picture(tmp_path, 0, np.eye(4, dtype="uint8"))])
    described = labels.LABELS.describe(found)
    described["masks"]["train"] = described["masks"]["test"]
    result = judged(found, [halves()])
    result["baselines"] = figures.FIGURES.compute_baselines(
        described, found, "test"
    )
    text = figures.FIGURES.text({"kept": "probe", "test": result})
    assert max(map(len, text.splitlines())) <= 80
    for words in ("chance", "most frequent class (sky)", "road", "mean IoU"):
        assert words in text
    assert figures.FIGURES.text({}) == "no split was evaluated"


@pytest.mark.optimizer  # And with plots.
def test_the_confusion_matrix_is_drawn(tmp_path):
    result = judged(data([picture(tmp_path, 0, np.eye(4))]), [halves()])
    figures.FIGURES.draw(result, NAMES, tmp_path, "test")
    assert (tmp_path / "confusion_test.png").stat().st_size > 1000


def test_results_are_ordered_by_mean_iou():
    merit = figures.FIGURES.merit
    assert merit({"mean_iou": 0.5, "pixel_accuracy": 0.9}) < merit(
        {"mean_iou": 0.6, "pixel_accuracy": 0.8}
    )
    better = {"val_mean_iou": 0.5, "val_loss": 1.0}
    worse = {"val_mean_iou": 0.5, "val_loss": 2.0}
    assert figures.FIGURES.rank_epoch(better) > figures.FIGURES.rank_epoch(
        worse
    )


def test_a_pixel_among_millions_does_not_tell_results_apart():
    merit = figures.FIGURES.merit
    exact = merit({"mean_iou": 0.512344, "pixel_accuracy": 0.9})
    rounded = merit({"mean_iou": 0.512341, "pixel_accuracy": 0.9000003})
    assert exact[0] == rounded[0]
    assert rounded > exact


def test_the_log_loss_is_of_the_pixels_that_count(tmp_path):
    mask = np.zeros([4, 4], "uint8")
    mask[:, 3] = 255
    judge = figures.FIGURES.create_evaluator(
        data([picture(tmp_path, 0, mask)]), "test", seed=0
    )
    said = np.full([1, 4, 4, 2], 0.5, "float32")
    said[0, :, 0] = (0.25, 0.75)
    said[0, :, 3] = (0.0, 1.0)  # Ignored.
    judge.add(said)
    # By hand: a third of the pixels has 1/4, two thirds have 1/2.
    expected = (np.log(4) + 2 * np.log(2)) / 3
    assert judge.evidence().mean_loss == pytest.approx(expected)
    once = np.ones([1, 1])
    assert judge.evidence().value(once)[0] == judge.figures()["mean_iou"]


def test_chance_is_what_drawing_classes_comes_to():
    true = np.repeat([0, 1, 2], [60_000, 30_000, 10_000])
    predicted = np.random.default_rng(0).integers(0, 3, size=len(true))
    found = figures.compute_chance([60_000, 30_000, 10_000])
    assert found["mean_iou"] == pytest.approx(
        metrics.jaccard_score(true, predicted, average="macro"),
        abs=0.003,
    )
    assert found["pixel_accuracy"] == pytest.approx(1 / 3)


def test_the_most_frequent_class_is_that_of_training():
    found = figures.compute_most_frequent_class([1, 9, 0], [50, 30, 20])
    assert found["pixel_accuracy"] == pytest.approx(0.3)
    assert found["mean_iou"] == pytest.approx(0.3 / 3)
    assert found["mean_accuracy"] == pytest.approx(1 / 3)
