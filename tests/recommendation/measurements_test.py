"""Tests of tf_finetune/recommendation/measurements.py."""

from tf_finetune.recommendation import measurements


def test_a_measurement_is_found_again_under_the_same_facts(tmp_path):
    measurements.MeasurementFile(tmp_path, {"a": 1}).put("kind", "name", [1.5])
    again = measurements.MeasurementFile(tmp_path, {"a": 1})
    assert again.get("kind", "name") == [1.5]
    assert again.get("kind", "other") is None
    other = measurements.MeasurementFile(tmp_path, {"a": 2})
    assert other.get("kind", "name") is None


def test_two_processes_add_to_one_file(tmp_path):
    one = measurements.MeasurementFile(tmp_path, 1)
    other = measurements.MeasurementFile(tmp_path, 1)
    one.put("kind", "a", 1)
    other.put("kind", "b", 2)
    found = measurements.MeasurementFile(tmp_path, 1)
    assert found.get("kind", "a") == 1 and found.get("kind", "b") == 2


def test_a_damaged_file_is_measured_again(tmp_path):
    measurements.MeasurementFile(tmp_path, 1).put("kind", "a", 1)
    (path,) = tmp_path.rglob("*.json")
    for damaged in ("{", "[]", '{"kind": 3}'):
        path.write_text(damaged)
        found = measurements.MeasurementFile(tmp_path, 1)
        assert found.get("kind", "a") is None
    found.put("kind", "a", 2)
    assert measurements.MeasurementFile(tmp_path, 1).get("kind", "a") == 2


def test_a_cache_that_cannot_be_written_costs_the_measurement_only(tmp_path):
    (tmp_path / "recommendations").write_text("a file in the folder's place")
    found = measurements.MeasurementFile(tmp_path, 1)
    found.put("kind", "a", 1)
    assert found.get("kind", "a") == 1
