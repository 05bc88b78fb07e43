"""Every format of a real run, and how much int8 costs it."""

import csv

import numpy as np
import pytest

import tf_finetune
from tf_finetune import files

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.real


def test_every_format_of_one_file_is_proven(ants_and_bees, tmp_path):
    formats = (
        *("keras", "h5", "whole_h5", "onnx"),
        *("litert", "litert_float16", "litert_dynamic", "litert_int8"),
    )
    said = []
    written = tf_finetune.export(
        ants_and_bees, formats, output=str(tmp_path), report=said.append
    )

    record = files.read_json(tmp_path / "parity.json")
    assert set(record) == {path.name for path in written}
    assert len(written) == len(formats)
    # All that a run keeps, also where fewer examples are asked for.
    assert record["model_int8.tflite"]["pictures"] == 64
    assert record["model.tflite"]["pictures"] == 16
    *said, table = said
    assert table.count("passed") == len(formats)
    proven = dict(zip(formats, said, strict=True))
    assert "checked on 64 held-out" in proven["litert_int8"]
    assert "checked on 64 held-out" in proven["litert_dynamic"]
    assert "checked on 16 held-out" in proven["litert"]


def test_int8_is_within_two_points_on_all_validation_pictures(
    ants_and_bees, tmp_path
):
    from tf_finetune.exports import job as jobs
    from tf_finetune.exports import litert_formats
    from tf_finetune.exports.parity import file_checks, parity_check
    from tf_finetune.runs import parity_record
    from tf_finetune.runs.finished import finished_run

    found = finished_run.load_finished(str(ants_and_bees))
    paths, labels = _validation(ants_and_bees)
    job = jobs.ExportJob(
        task=found.config.model.task,
        model=found.model,
        class_names=found.class_names,
        image_size=found.image_size,
        resize=found.config.model.resize,
        destination=tmp_path,
        proof=parity_record.read_record(found.place),
        calibration=parity_record.find_calibration_paths(found.place),
    )
    everything = jobs.ParityReference(
        paths=paths, predictions=np.zeros([len(paths), 2]), truth=labels
    )
    contents = [files.pathlib.Path(path).read_bytes() for path in paths]
    said = found.model.predict(
        parity_check.decode_images(contents, job), verbose=0
    )

    got = file_checks.predict_in_fresh_process(
        "litert.py", litert_formats.write_int8(job), everything, job
    )

    assert len(paths) == 153
    accuracy = (said.argmax(axis=1) == labels).mean()
    in_int8 = (got.argmax(axis=1) == labels).mean()
    print(f"float32 {accuracy:.4f}, int8 {in_int8:.4f}")
    assert in_int8 >= accuracy - 0.02


def _validation(workdir):
    with open(workdir / "predictions.csv", encoding="utf-8") as file:
        paths = tuple(row["path"] for row in csv.DictReader(file))
    names = [path.split("/")[-2] for path in paths]
    return paths, np.array([["ants", "bees"].index(name) for name in names])
