"""Pictures of figures."""

import numpy as np
import pytest
from PIL import Image

from tf_finetune.drawing import result_plots

pytestmark = pytest.mark.optimizer  # Which leaves no plot blank.


@pytest.mark.parametrize("count", [2, 30, 100, 150, 450])
def test_a_confusion_matrix_of_any_size_is_drawn(tmp_path, count):
    path = tmp_path / "new" / "confusion.png"
    matrix = np.eye(count, dtype=int) * 50

    result_plots.plot_confusion(
        matrix.tolist(), [f"class {i}" for i in range(count)], path
    )

    with Image.open(path) as picture:
        assert picture.format == "PNG"
        # A class has room for a line of small letters.
        assert min(picture.size) >= min(12 * count, 1800)
    assert [p.name for p in path.parent.iterdir()] == ["confusion.png"]


def test_the_diagonal_is_dark_and_the_rest_is_light(tmp_path):
    path = tmp_path / "confusion.png"
    result_plots.plot_confusion([[500, 0], [0, 1]], ["a", "b"], path)

    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    full = np.all(np.abs(pixels - [8, 48, 107]) <= 2, axis=1).mean()
    # Two of four cells, the rare class as dark as the common one.
    assert 0.15 < full < 0.35


@pytest.mark.parametrize(
    "name", ["$x_{", "蚂蚁", "a\nb", "caf\udce9", "", "a" * 500]
)
def test_no_class_name_stops_the_plot(tmp_path, name, recwarn):
    path = tmp_path / "confusion.png"

    result_plots.plot_confusion([[1, 2], [3, 4]], [name, "b"], path)

    assert path.exists()
    assert not [w for w in recwarn if "font" in str(w.message)]


def test_an_empty_row_is_drawn(tmp_path, recwarn):
    result_plots.plot_confusion(
        [[0, 0], [1, 1]], ["a", "b"], tmp_path / "c.png"
    )

    assert not [w for w in recwarn if "divide" in str(w.message)]


def test_curves_have_a_panel_for_each_metric(tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    losses = [
        {"stage": "s", "epoch": i, "loss": 1 / i, "val_loss": 2 / i}
        for i in (1, 2, 3)
    ]
    both = [{**row, "accuracy": 0.5} for row in losses]

    result_plots.plot_training_curves(losses, one)
    result_plots.plot_training_curves(both, two)

    with Image.open(one) as first, Image.open(two) as second:
        assert second.height == pytest.approx(2 * first.height, abs=2)


def test_curves_of_rows_with_holes_are_drawn(tmp_path):
    history = [
        {"stage": "head", "epoch": 1, "loss": float("nan"), "val_loss": None},
        {"stage": "fine_tune", "epoch": 1, "loss": 0.5, "accuracy": ""},
    ]

    result_plots.plot_training_curves(history, tmp_path / "history.png")

    assert (tmp_path / "history.png").exists()


def test_curves_of_nothing_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="no epoch"):
        result_plots.plot_training_curves([], tmp_path / "history.png")

    assert list(tmp_path.iterdir()) == []


def _texts(monkeypatch):
    """What is written into the drawings that are saved from here on."""
    found = []

    def noted(drawing, path):
        for place in drawing.axes:
            found.extend(text.get_text() for text in place.texts)
            found.append(place.get_title())
            found.append(place.get_xlabel())
            legend = place.get_legend()
            if legend:
                found.extend(text.get_text() for text in legend.get_texts())
                found.append(place.get_xlim())

    monkeypatch.setattr(result_plots, "save_png", noted)
    return found


def test_cells_say_shares_in_percent_below_a_title(tmp_path, monkeypatch):
    texts = _texts(monkeypatch)
    result_plots.plot_confusion(
        [[7_654_321, 3], [250, 750]], ["a", "b"], tmp_path / "c", title="test"
    )
    assert {">99 %", "<1 %", "25 %", "75 %", "test"} <= set(texts)
    assert not [text for text in texts if "7654321" in text]


def test_small_counts_stand_below_their_share(tmp_path, monkeypatch):
    texts = _texts(monkeypatch)
    result_plots.plot_confusion([[3, 1], [0, 5]], ["a", "b"], tmp_path / "c")
    assert "75 %\n(3)" in texts and "100 %\n(5)" in texts


def test_neighbors_of_very_many_classes_share_a_cell(tmp_path, monkeypatch):
    texts = _texts(monkeypatch)
    sparse = {"classes": 1500, "true": [3], "predicted": [3], "count": [4]}
    result_plots.plot_confusion(
        sparse, [str(i) for i in range(1500)], tmp_path / "c"
    )
    assert "predicted class (8 per cell)" in texts


def test_the_kept_epoch_and_the_probe_are_marked(tmp_path, monkeypatch):
    texts = _texts(monkeypatch)
    rows = [{"stage": "s", "epoch": 1, "loss": 1.0, "accuracy": 0.9}]
    result_plots.plot_training_curves(
        rows, tmp_path / "h", kept=0, probe={"accuracy": 0.8}
    )
    assert texts.count("kept epoch") == 2
    assert texts.count("probe") == 1
    assert (0.5, 1.5) in texts  # One epoch has an axis of its own width.
