"""Masks from pictures to a served model, with equal numbers on the way."""

import csv
import pathlib
import subprocess
import sys

import graph_optimizer
import keras
import numpy as np
import pytest
import quiet
import tensorflow as tf
from PIL import Image
from scipy import special

from tf_finetune import files


@pytest.fixture(scope="module")
def run(scenes, tmp_path_factory):
    """A finished run that learned from cached maps in both stages."""
    with graph_optimizer.switched_on():
        return quiet.fine_tune(
            scenes,
            task="segmentation",
            ignore_label="void",
            backbone="small_cnn",
            weights="none",
            image_size=32,
            head="fcn_8s",
            head_units=16,
            head_epochs=20,
            epochs=2,
            batch_size=8,
            cache="on",
            augmentation_views=2,
            cache_dir=str(tmp_path_factory.mktemp("cache")),
            workdir=str(tmp_path_factory.mktemp("runs") / "run"),
            seed=1,
        )


@pytest.mark.quick
def test_boxes_are_found(run):
    assert run.class_names == ("sky", "box")
    test = run.evaluation["test"]
    low, high = test["mean_iou_interval"]
    assert low <= test["mean_iou"] <= high
    baselines = test["baselines"]
    assert set(baselines) == {"probe", "chance", "most_frequent_class"}
    assert test["mean_iou"] > 0.6 > baselines["most_frequent_class"]["mean_iou"]
    described = files.read_json(run.workdir / "data.json")["masks"]
    assert described["train"]["ignored_pixels"] > 0
    assert files.read_json(run.workdir / "run.json")["cache"] == "on"


def test_the_worst_and_the_best_pictures_are_drawn(run):
    for split in ("train", "validation", "test"):
        with Image.open(run.workdir / f"examples_{split}.png") as picture:
            assert picture.format == "PNG"


def test_evaluated_again_the_figures_are_the_same(run, tmp_path):
    again = quiet.evaluate(
        run.workdir,
        cache_dir=str(tmp_path),
        output=str(tmp_path / "again.json"),
        fail_below=("mean_iou:0.5",),
    )
    for split in ("train", "validation", "test"):
        assert again[split]["mean_iou"] == pytest.approx(
            run.evaluation[split]["mean_iou"], abs=2e-3
        )
        assert again[split]["pixels"] == run.evaluation[split]["pixels"]


def test_other_masks_may_show_one_class_and_need_no_names(
    run, scenes, tmp_path
):
    for folder in ("images", "masks"):
        (tmp_path / "other" / folder).mkdir(parents=True)
    with Image.open(scenes / "images" / "0.jpg") as picture:
        picture.crop((0, 0, 30, 24)).save(
            tmp_path / "other" / "images" / "a.png"
        )
    Image.fromarray(np.zeros([24, 30], "uint8")).save(
        tmp_path / "other" / "masks" / "a.png"
    )
    figures = quiet.evaluate(
        run.workdir,
        tmp_path / "other",
        cache_dir=str(tmp_path / "cache"),
    )
    assert figures["test"]["class_names"] == ["sky", "box"]
    assert figures["test"]["pixels"] == 24 * 30


@pytest.fixture(scope="module")
def predicted(run, scenes, tmp_path_factory):
    """A folder of masks and overlays, and its table."""
    folder = tmp_path_factory.mktemp("predicted")
    quiet.predict(
        run.workdir,
        data=str(scenes / "images"),
        output=str(folder),
    )
    with open(folder / "predictions.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_predicted_masks_are_those_that_were_judged(run, predicted, scenes):
    split_of = files.read_json(run.workdir / "data.json")["split_of"]
    hits = total = 0
    for row in predicted:
        mask = np.array(Image.open(row["mask"]))
        path = pathlib.Path(row["path"])
        assert mask.shape == Image.open(path).size[::-1]
        assert Image.open(row["overlay"]).size == Image.open(path).size
        true = np.array(Image.open(scenes / "masks" / f"{path.stem}.png"))
        if split_of[files.sha256(path)] == "test":
            counted = true < 2
            hits += (mask == true)[counted].sum()
            total += counted.sum()
    assert len(predicted) == 24
    accuracy = run.evaluation["test"]["pixel_accuracy"]
    assert hits / total == pytest.approx(accuracy, abs=2e-3)


@pytest.fixture(scope="module")
def both(run, tmp_path_factory) -> list[pathlib.Path]:
    """The run as a SavedModel and as a Keras file."""
    with graph_optimizer.switched_on():
        return quiet.export(
            run.workdir,
            format=("saved_model", "keras"),
            output=str(tmp_path_factory.mktemp("exports")),
        )


def test_the_exported_model_gives_the_predicted_masks(both, predicted):
    exported, keras_file = both
    script = (
        "import sys, numpy as np, tensorflow as tf\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "contents = [open(p, 'rb').read() for p in sys.argv[3:]] + [b'bad']\n"
        "found = {}\n"
        "for name in ('serving_default', 'serve_probabilities'):\n"
        "    serve = loaded.signatures[name]\n"
        "    found |= serve(image_bytes=tf.constant(contents))\n"
        "np.savez(sys.argv[2], **{k: v.numpy() for k, v in found.items()\n"
        "                         if k != 'error'})\n"
    )
    rows = predicted[:5]
    answers = exported.parent / "answers.npz"
    subprocess.run(
        [sys.executable, "-I", "-c", script, str(exported), str(answers)]
        + [row["path"] for row in rows],
        check=True,
        capture_output=True,
    )
    found = np.load(answers)
    assert (found["sizes"][-1] == 0).all()
    for mask, size, row in zip(
        found["masks"], found["sizes"], rows, strict=False
    ):
        expected = np.array(Image.open(row["mask"]))
        assert tuple(size) == expected.shape
        own = mask[: size[0], : size[1]]
        assert (own != expected).mean() < 1e-3
        assert (mask[size[0] :] == 255).all()
    plain = keras.saving.load_model(keras_file)
    picture = tf.io.decode_jpeg(tf.io.read_file(rows[0]["path"]))
    square = tf.image.resize(picture, [32, 32], antialias=True)[None]
    np.testing.assert_allclose(
        plain.predict(square, verbose=0)[0],
        found["probabilities"][0],
        atol=0.02,
    )


def test_a_calibrated_export_gives_the_same_masks(run, scenes, tmp_path):
    (version,) = quiet.export(
        run.workdir,
        calibrate=True,
        cache_dir=str(tmp_path / "cache"),
        out_of_distribution=True,
        output=str(tmp_path / "export"),
    )
    record = files.read_json(version.parent / "parity.json")["1"]
    found = record["temperature"]
    assert found["log_loss"][1] < found["log_loss"][0]
    assert found["counted"] == "pixels of 4 validation pictures"
    paths = sorted((scenes / "images").iterdir())
    images = np.stack(
        [np.array(Image.open(p).resize([32, 32]), "float32") for p in paths]
    )
    below = run.model.get_layer("probabilities").input
    network = keras.Model(run.model.inputs, below)
    logits = network.predict_on_batch(images).astype("float64")
    serve = tf.saved_model.load(str(version)).signatures["serve_array"]
    answer = serve(images=tf.constant(images))
    np.testing.assert_allclose(
        answer["probabilities"],
        special.softmax(logits / found["temperature"], axis=-1),
        atol=1e-4,
    )
    np.testing.assert_array_equal(answer["masks"], logits.argmax(axis=-1))
    # The network as trained tells what is strange.
    energy = -special.logsumexp(logits, axis=-1)
    np.testing.assert_allclose(
        answer["ood_score"], energy.mean(axis=(1, 2)), atol=1e-3
    )


def test_the_proof_compares_masks_of_the_pictures_own_sizes(both):
    record = files.read_json(both[0].parent / "parity.json")["1"]
    for name in ("serving_default", "serve_png"):
        assert record[name]["same_class"] > 0.999
        assert record[name]["largest_gap"] <= 2 * record["tolerance"]
    for name in ("serve_array", "serve_probabilities"):
        assert record[name]["max_abs_difference"] <= record["tolerance"]


def test_the_server_answers_the_predicted_masks(
    both, predicted, talk, damage, tmp_path
):
    server = talk(both[0])
    rows = predicted[:4]
    paths = [row["path"] for row in rows]
    paths.insert(2, damage(paths[0]))
    masks = [np.array(Image.open(row["mask"])) for row in rows]
    masks.insert(2, np.zeros([0, 0]))
    told = server.ask(
        paths, "--signature=serve_png", f"--output={tmp_path / 'out'}"
    )
    for answers in told.values():
        for expected, answer in zip(masks, answers, strict=True):
            _check_png(answer, expected)
    for expected, answer in zip(masks, server.alike(paths), strict=True):
        assert set(answer) == {"masks", "sizes", "error"}
        height, width = answer["sizes"]
        assert (height, width) == expected.shape
        own = np.array(answer["masks"])[:height, :width]
        assert (own != expected).sum() <= 1e-3 * own.size
        assert bool(answer["error"]) == (not expected.size)
    server.check_what_lies_beside(("sky", "box"))


def _check_png(answer, expected):
    if not expected.size:
        assert answer["masks_bytes"] == "0 bytes"
        assert answer["shares"] == [0, 0]
        assert answer["error"]
        return
    own = np.array(Image.open(answer["masks_bytes"]))
    assert own.shape == expected.shape and own.dtype == np.uint8
    assert (own != expected).sum() <= 1e-3 * own.size
    counts = np.bincount(own.ravel(), minlength=2)
    np.testing.assert_allclose(answer["shares"], counts / own.size, atol=1e-6)
    assert not answer["error"]


def test_a_small_request_for_huge_masks_is_refused(both, talk, tmp_path):
    server = talk(both[0], max_answer_megabytes=1)
    paths = [tmp_path / f"{number}.png" for number in range(24)]
    for path in paths:
        Image.new("RGB", (9, 8), "blue").save(path)
    Image.new("RGB", (480, 500), "blue").save(paths[-1])
    for _ in range(5):  # More than may be held at once.
        (row,) = server.alike(paths[-1:])
        assert row["sizes"] == [500, 480]
    for protocol, code in zip(
        server.protocols, ("413", "INVALID_ARGUMENT"), strict=False
    ):
        (other,) = {"rest", "grpc"} - {protocol}
        with pytest.raises(SystemExit, match=f"{code}: .*max_answer_meg"):
            server.ask(paths, f"--{other}=none")
    told = server.ask(paths, "--signature=serve_png", f"--output={tmp_path}")
    for answers in told.values():
        sizes = [Image.open(each["masks_bytes"]).size for each in answers]
        assert sizes == [(9, 8)] * 23 + [(480, 500)]


def test_windows_are_for_tasks_that_answer_with_pictures(run, scenes, tmp_path):
    rows = quiet.predict(
        run.workdir,
        data=str(scenes / "images" / "0.jpg"),
        output=str(tmp_path / "out"),
        window_overlap=0.5,
    )
    size = Image.open(scenes / "images" / "0.jpg").size
    assert Image.open(rows[0].mask).size == size
