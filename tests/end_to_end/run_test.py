"""A run from pictures to exports, and what it leaves."""

import csv
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import quiet
from PIL import Image

import tf_finetune
from tf_finetune import errors, files
from tf_finetune.workdir import workdir_files


@pytest.mark.quick
def test_a_run_leaves_what_the_plan_promises(run):
    names = {path.name for path in run.workdir.iterdir()}
    assert names >= {
        "run.flags", "run.json", "labels.txt", "data.json", "plan.txt",
        "history.csv", "history.png", "model.keras", "model.weights.h5",
        "evaluation.json", "predictions.csv", "confusion_test.png",
    }  # fmt: skip
    assert not [name for name in names if name.startswith(".")]
    assert workdir_files.Workdir(run.workdir).is_finished


def test_every_split_is_evaluated_beside_its_baselines(run):
    for split in ("train", "validation", "test"):
        figures = run.evaluation[split]
        low, high = figures["accuracy_interval"]
        assert low <= figures["accuracy"] <= high
        assert set(figures["baselines"]) == {"majority_class", "probe"}
    assert files.read_json(run.workdir / "evaluation.json") == run.evaluation


@pytest.mark.quick
def test_colors_are_learned(run):
    assert run.class_names == ("blue", "green", "red")
    assert run.evaluation["test"]["accuracy"] == 1.0


def test_the_model_is_plain_keras_and_takes_rgb_0_to_255(run):
    plain = keras.saving.load_model(run.workdir / "model.keras")
    # One picture array, which is what Keras' own `export` asks for then.
    assert not isinstance(plain.input, list | dict)
    red = np.full([1, 32, 32, 3], 60.0, "float32")
    red[..., 0] = 160.0
    np.testing.assert_allclose(
        plain.predict(red, verbose=0),
        run.model.predict(red, verbose=0),
        atol=1e-6,
    )
    assert plain.predict(red, verbose=0).sum() == pytest.approx(1.0)


def test_the_better_of_probe_and_fine_tuning_is_kept(run):
    validation = run.evaluation["validation"]
    probe = validation["baselines"]["probe"]
    assert validation["accuracy"] >= probe["accuracy"]
    assert run.evaluation["kept"] in ("probe", "fine_tune")
    assert [row["stage"] for row in run.history] == ["fine_tune"] * 2


def test_replaying_run_flags_gives_the_same_numbers(run, tmp_path, command):
    done = command(
        "train",
        f"--flagfile={run.workdir / 'run.flags'}",
        f"--workdir={tmp_path / 'again'}",
    )
    assert done.returncode == 0, done.stderr
    again = files.read_json(tmp_path / "again" / "evaluation.json")
    assert again == run.evaluation
    ours = keras.saving.load_model(tmp_path / "again" / "model.keras")
    for mine, theirs in zip(
        ours.get_weights(), run.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_evaluating_again_gives_the_same_figures(run, settings, tmp_path):
    again = quiet.evaluate(
        run.workdir,
        output=str(tmp_path / "again.json"),
        cache_dir=settings["cache_dir"],
    )
    for split in ("train", "validation", "test"):
        assert again[split]["accuracy"] == run.evaluation[split]["accuracy"]
        assert (
            again[split]["confusion_matrix"]
            == run.evaluation[split]["confusion_matrix"]
        )


@pytest.mark.quick
def test_a_run_that_is_opened_again_is_what_it_was(run, pictures):
    again = tf_finetune.load_run(run.workdir)
    assert again.evaluation == run.evaluation
    assert again.history == run.history
    assert again.class_names == run.class_names
    assert repr(again) == repr(run)
    assert str(run.workdir) in repr(run) and len(repr(run)) < 300
    path, *_ = sorted(pictures.rglob("*.png"))
    said = []
    for each in (run, again):
        each.predict(path, report=said.append)
    assert said[0] == said[1]


def test_other_pictures_are_evaluated_in_the_runs_classes(
    run, pictures, settings, tmp_path
):
    (tmp_path / "more").mkdir()
    shutil.copytree(pictures / "red", tmp_path / "more" / "red")
    figures = quiet.evaluate(
        run.workdir,
        tmp_path / "more",
        cache_dir=settings["cache_dir"],
    )
    assert figures["test"]["per_class"]["red"]["support"] == 16
    assert figures["test"]["accuracy"] == 1.0
    assert (run.workdir / "evaluation.more.json").exists()


def test_tables_are_evaluated_and_predicted_as_people_write_them(
    run, pictures, settings, tmp_path
):
    lines = [f"C:\\me\\{name}\\0 ,{name}" for name in run.class_names]
    # Advice about names that are not found is looked for one folder above.
    table = tmp_path / "tables" / "more.csv"
    table.parent.mkdir()
    table.write_text("\n".join(["Image,Label", *lines]))
    figures = quiet.evaluate(
        run.workdir,
        table,
        image_root=str(pictures),
        cache_dir=settings["cache_dir"],
    )
    assert figures["test"]["accuracy"] == 1.0
    assert figures["test"]["per_class"]["red"]["support"] == 1
    rows = quiet.predict(
        run.workdir,
        table,
        image_root=str(pictures),
    )
    assert [row.class_name for row in rows] == list(run.class_names)
    with pytest.raises(errors.DataError, match="No file of that name"):
        quiet.predict(run.workdir, table)
    with pytest.raises(errors.UsageError, match=r"is for --data=\*\.csv"):
        tf_finetune.predict(run.workdir, pictures, image_root=str(pictures))


def test_a_class_spelled_almost_as_a_known_one_is_shown_beside_it(
    run, pictures, tmp_path
):
    shutil.copytree(pictures / "red", tmp_path / "more" / "Red")
    with pytest.raises(errors.DataError, match="Did you mean 'red'"):
        quiet.evaluate(run.workdir, tmp_path / "more")


def test_a_class_the_run_does_not_know_is_named(run, pictures, tmp_path):
    shutil.copytree(pictures / "red", tmp_path / "more" / "pink")
    with pytest.raises(errors.DataError, match="'pink'.*blue, green, red"):
        quiet.evaluate(run.workdir, tmp_path / "more")


def test_predict_fills_error_for_a_bad_picture_and_goes_on(
    run, pictures, tmp_path, command
):
    folder = tmp_path / "new pictures"
    folder.mkdir()
    shutil.copy(pictures / "red" / "0.png", folder / "a.png")
    (folder / "b.jpg").write_bytes(b"")
    shutil.copy(pictures / "blue" / "0.png", folder / "c.png")
    done = command(
        "predict", f"--workdir={run.workdir}", f"--data={folder}",
        "--output=x.csv", "--top_k=2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class", "probability", "top_k", "error"]
    assert [row["class"] for row in rows] == ["red", "", "blue"]
    assert "empty" in rows[1]["error"]
    assert len(rows[0]["top_k"].split("|")) == 2


@pytest.mark.optimizer
def test_a_saved_model_serves_encoded_pictures_without_this_package(
    exported, pictures, tmp_path
):
    assert exported.parts[-2:] == ("out", "1")
    code = (
        "import sys, tensorflow as tf\n"
        "sys.modules['tf_finetune'] = None\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures\n"
        "data = tf.constant([open(p, 'rb').read() for p in sys.argv[2:]])\n"
        "out = serve['serving_default'](image_bytes=data)\n"
        "print(b' '.join(out['classes'].numpy()).decode())\n"
    )
    chosen = [pictures / c / "3.png" for c in ("red", "blue", "green")]
    done = subprocess.run(
        [sys.executable, "-c", code, exported, *chosen],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout.split() == ["red", "blue", "green"], done.stderr


def test_every_format_is_written_and_proven(run, tmp_path):
    written = quiet.export(
        run.workdir,
        "h5,keras",
        output=str(tmp_path / "out"),
    )
    assert [path.name for path in written] == [
        "model.weights.h5",
        "model.keras",
    ]
    parity = files.read_json(tmp_path / "out" / "parity.json")
    assert set(parity) == {"model.weights.h5", "model.keras"}


def test_an_export_that_cannot_be_proven_is_refused(run, tmp_path):
    spoilt = tmp_path / "run"
    shutil.copytree(run.workdir, spoilt)
    kept = dict(np.load(spoilt / "proof.npz"))
    kept["predictions"][:] = [0.2, 0.3, 0.5]
    np.savez(spoilt / "proof.npz", **kept)
    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        quiet.export(spoilt)
    assert not list((spoilt / "export").glob("[0-9]*"))


def test_an_earlier_run_lends_its_backbone(run, pictures, train, tmp_path):
    later, _ = train(
        pictures,
        tmp_path / "later",
        weights=str(run.workdir),
        trainable="head",
        epochs=0,
    )
    earlier = run.model.get_layer("stem_conv").get_weights()
    np.testing.assert_array_equal(
        later.model.get_layer("stem_conv").get_weights()[0], earlier[0]
    )
    facts = files.read_json(later.workdir / "run.json")
    assert facts["weights"]["sha256"] == files.sha256(
        run.workdir / "model.weights.h5"
    )


def test_a_gate_that_is_missed_exits_with_3_and_keeps_the_run(
    pictures, settings, tmp_path, command
):
    flags = [f"--{name}={value}" for name, value in settings.items()]
    done = command(
        "train", *flags, f"--data={pictures}", "--trainable=head", "--epochs=0",
        "--workdir=run", "--fail_if_not_better_than=probe",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "not better than the probe" in done.stderr
    assert workdir_files.Workdir(tmp_path / "run").is_finished


def test_predictions_stand_beside_what_is_true(run):
    with open(run.workdir / "predictions.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == sum(
        run.evaluation[split]["examples"] for split in ("validation", "test")
    )
    for row in rows:
        assert row["true"] == pathlib.Path(row["path"]).parent.name
    assert not (run.workdir / "checkpoints").exists()


def test_other_pictures_are_charted_and_predicted(run, pictures, tmp_path):
    other = tmp_path / "later"
    for name in ("red", "blue"):
        (other / name).mkdir(parents=True)
        shutil.copy(pictures / name / "0.png", other / name / "new.png")
    output = tmp_path / "later.json"
    quiet.evaluate(run.workdir, other, output=str(output))
    with open(tmp_path / "later" / "predictions.csv", newline="") as file:
        assert [row["true"] for row in csv.DictReader(file)] == ["blue", "red"]
    assert (tmp_path / "later" / "confusion_test.png").exists()


def test_unknown_classes_are_refused_before_anything_is_decoded(
    run, pictures, tmp_path, monkeypatch
):
    shutil.copytree(pictures / "red", tmp_path / "later" / "purple")
    shutil.copytree(pictures / "red", tmp_path / "later" / "red")
    from tf_finetune import environment

    monkeypatch.setattr(environment, "start_tensorflow", lambda: 1 / 0)
    with pytest.raises(errors.DataError, match="the class 'purple'; it knows"):
        tf_finetune.evaluate(run.workdir, tmp_path / "later")


def test_single_pictures_under_a_moving_batch_norm_are_warned_of(
    pictures, train, tmp_path, caplog
):
    train(
        pictures,
        tmp_path / "run",
        plan=True,
        batch_size=1,
        cache="off",
        trainable="all",
        freeze_batch_norm=False,
    )
    assert "mean and variance from single pictures" in caplog.text


def test_an_earlier_run_is_a_gate(run, pictures, train, tmp_path):
    rival = tmp_path / "earlier"
    shutil.copytree(run.workdir, rival)
    again = {"cache": "on", "fail_if_not_better_than": str(rival)}
    with pytest.raises(errors.GateError, match="not better than the run in"):
        train(pictures, tmp_path / "a", **again)

    theirs = files.read_json(rival / "evaluation.json")
    theirs["test"]["accuracy"] = 0.5
    files.write_json(rival / "evaluation.json", theirs)
    train(pictures, tmp_path / "b", **again)

    with pytest.raises(errors.UsageError, match="other pictures"):
        train(pictures, tmp_path / "c", **again, seed=4)
    assert not (tmp_path / "c").exists()


def test_arrays_are_accepted(train, tmp_path):
    generator = np.random.default_rng(1)
    labels = np.arange(40) % 2
    images = generator.integers(0, 100, [40, 20, 20, 3], dtype="uint8")
    images[labels == 1, :, :, 2] += 120
    run, _ = train(
        (images, labels), tmp_path / "run", trainable="head", epochs=0
    )
    assert run.class_names == ("0", "1")
    assert run.evaluation["test"]["accuracy"] == 1.0


def test_an_mlp_head_is_trained_on_the_cached_features(
    pictures, train, tmp_path
):
    run, _ = train(
        pictures,
        tmp_path / "run",
        trainable="head",
        head="mlp",
        dropout=0.2,
        epochs=0,
    )
    assert run.evaluation["test"]["accuracy"] == 1.0
    assert run.model.get_layer("head_hidden").units == 256


def test_the_plan_writes_nothing(pictures, train, tmp_path):
    _, text = train(pictures, tmp_path / "run", plan=True)
    assert "48 pictures, 0 dropped, 3 classes" in text
    assert "estimate (from measured steps)" in text
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_overwritten_by_accident(run, pictures, train):
    with pytest.raises(errors.UsageError, match="holds a finished run"):
        train(pictures, run.workdir)


@pytest.mark.parametrize(
    "name",
    ["resnet18", pytest.param("resnet50", marks=pytest.mark.campaign)],
)
def test_the_classic_recipes_run(name, pictures, tmp_path, command):
    root = pathlib.Path(__file__).parents[2]
    done = command(
        "train", f"--flagfile={root / f'configs/classic/{name}_sgd.flags'}",
        f"--data={pictures}", "--weights=none", "--image_size=32",
        "--epochs=1", "--workdir=run", f"--cache_dir={tmp_path / 'cache'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "run" / "history.csv") as file:
        assert len(list(csv.DictReader(file))) == 1


def test_mirrored_training_runs(pictures, train, tmp_path):
    run, _ = train(pictures, tmp_path / "run", strategy="mirrored", cache="on")
    assert len(run.history) == 2


def test_label_smoothing_mixup_class_weights_and_full_batches_run(
    pictures, train, tmp_path
):
    run, _ = train(
        pictures,
        tmp_path / "run",
        epochs=1,
        augmentation="strong",
        optimizer="gd",
        loss="focal",
        label_smoothing=0.1,
        class_weight="balanced",
        trainable="all",
        l2=1e-4,
    )
    assert np.isfinite(run.history[0]["loss"])


def test_a_csv_with_groups_keeps_them_on_one_side(pictures, train, tmp_path):
    table = tmp_path / "pictures.csv"
    lines = ["image,label,group"]
    for path in sorted(pictures.glob("*/*.png")):
        group = f"{path.parent.name}{int(path.stem) // 2}"
        lines.append(f"{path},{path.parent.name},{group}")
    table.write_text("\n".join(lines))
    run, _ = train(table, tmp_path / "run", trainable="head", epochs=0)
    split_of = files.read_json(run.workdir / "data.json")["split_of"]
    sides = {}
    for path in pictures.glob("*/*.png"):
        group = f"{path.parent.name}{int(path.stem) // 2}"
        sides.setdefault(group, set()).add(split_of[files.sha256(path)])
    assert len(sides) == 24
    assert all(len(each) == 1 for each in sides.values())


def test_a_large_picture_is_dropped_and_said_so(pictures, train, tmp_path):
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    Image.new("RGB", (300, 300)).save(folder / "red" / "large.png")
    run, _ = train(
        folder, tmp_path / "run", max_pixels=10_000, trainable="head", epochs=0
    )
    dropped = files.read_json(run.workdir / "data.json")["dropped"]
    assert dropped["count"] == 1
    assert dropped["files"][0]["path"].endswith("large.png")
    assert "--max_pixels" in dropped["files"][0]["reason"]
