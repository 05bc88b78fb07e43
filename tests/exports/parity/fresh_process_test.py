"""A process of its own that knows nothing of this package."""

import textwrap

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exports.parity import fresh_process

_ECHO = """
    import shutil, sys
    shutil.copy(sys.argv[2], sys.argv[3])
"""


def _script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_numbers_and_bytes_survive_the_way_there_and_back(tmp_path):
    contents = np.empty([2, 2], dtype=object)
    contents[:] = [[b"\x00\xff\x00", b""], [b"caf\xe9", b"a" * 70_000 + b"\0"]]
    inputs = {
        "images": np.arange(6, dtype="float32").reshape(1, 2, 3),
        "serving_default/image_bytes": contents,
        "batch_size": np.array(2),
    }

    got = fresh_process.run_script(_script(tmp_path, _ECHO), tmp_path, inputs)

    assert set(got) == set(inputs)
    for name, array in inputs.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def test_objects_that_are_no_bytes_are_refused(tmp_path):
    with pytest.raises(TypeError):
        fresh_process.run_script(
            _script(tmp_path, _ECHO), tmp_path, {"a": np.array([{}, 1], object)}
        )


def test_a_failing_process_is_told_with_its_last_words(tmp_path):
    script = _script(
        tmp_path,
        """
        import sys
        sys.exit("This is no model.")
        """,
    )

    with pytest.raises(errors.RunError) as caught:
        fresh_process.run_script(
            script, tmp_path / "model.x", {"images": np.zeros(1)}
        )

    message = str(caught.value)
    assert "model.x" in message
    assert "script.py ended with status 1" in message
    assert "This is no model." in message


def test_the_process_sees_neither_PYTHONPATH_nor_the_scripts_folder(
    tmp_path, monkeypatch
):
    (tmp_path / "planted.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    script = _script(
        tmp_path,
        """
        import importlib.util, os, sys
        found = importlib.util.find_spec("planted")
        bad = [key for key in os.environ if key.startswith("PYTHON")]
        sys.exit(f"{found} {bad}" if found or bad else 1)
        """,
    )

    with pytest.raises(errors.RunError, match="saying: nothing"):
        fresh_process.run_script(script, tmp_path, {"images": np.zeros(1)})


def test_bytes_keep_the_zeros_at_their_ends():
    array = fresh_process.make_string_array([b"a\x00", b"", b"\x00\x00"])

    assert array.shape == (3,)
    assert array.tolist() == [b"a\x00", b"", b"\x00\x00"]


def test_a_file_is_called_by_the_name_that_it_is_going_to_have(tmp_path):
    script = tmp_path / "failing.py"
    script.write_text("import sys; sys.exit('no')")
    with pytest.raises(errors.RunError) as caught:
        fresh_process.run_script(
            script, tmp_path / ".tmp-0123abcd-model.tflite", {}
        )
    assert f"{tmp_path}/model.tflite could not be checked" in str(caught.value)
