"""Model files without end, refused before anything of their size is made."""

import json
import os
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.untrusted import archives, hdf5_structure, keras_files


@pytest.fixture
def write_archive(tmp_path):
    """Writes a .keras file of a dense layer; more members may be added."""

    def write(name="x.keras", config="{}", **more):
        weights = tmp_path / "inside.weights.h5"
        with h5py.File(weights, "w") as file:
            file["layers/dense/vars/0"] = np.ones((3, 2), "f4")
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(weights, "model.weights.h5")
            archive.writestr("config.json", config)
            for member, content in more.items():
                archive.writestr(member, content)
        return path

    return write


def _refusal(path):
    """Returns the sentence, which names the file."""
    with pytest.raises(errors.RunError) as caught:
        keras_files.check_file(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_plain_file_is_accepted(write_archive):
    keras_files.check_file(write_archive())


def test_a_config_of_blanks_is_refused_with_its_size(write_archive):
    path = write_archive(config=" " * (9 << 20))
    assert "'config.json' in it has 9,437,184 bytes" in _refusal(path)


def test_many_members_are_counted_before_they_are_listed(tmp_path):
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(10_001):
            archive.writestr(str(number), "")
    assert "10,001 members, and 10,000 is the limit" in _refusal(path)


def test_a_list_of_members_without_end_is_not_read(tmp_path):
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(200):
            archive.writestr(str(number) + "n" * 60_000, "")
    assert "the list of its members has" in _refusal(path)


def test_small_members_are_added_up(write_archive):
    zeros = bytes(90 << 20)
    path = write_archive(a=zeros, b=zeros, c=zeros)
    sentence = _refusal(path)
    assert "unpacks from" in sentence
    assert "268,435,456 is the limit" in sentence


@pytest.mark.parametrize("name", ["x.h5", "x.keras"])
def test_what_is_no_regular_file_is_not_opened(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "not a regular file" in _refusal(tmp_path / name)


def test_a_damaged_archive_is_told_as_such(write_archive):
    path = write_archive()
    path.write_bytes(path.read_bytes()[:-30])
    assert "damaged or incomplete" in _refusal(path)


def _hdf5(tmp_path, fill):
    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((3, 2), "f4")
        fill(file)
    return path


def test_many_groups_are_refused_with_their_number(tmp_path):
    def fill(file):
        for number in range(hdf5_structure.MAX_OBJECTS):
            file.create_group(str(number))

    sentence = _refusal(_hdf5(tmp_path, fill))
    assert "it holds at least 40,001 objects, and 40,000" in sentence


def test_many_groups_are_added_up_over_groups(tmp_path):
    def fill(file):
        for outer in range(3):
            for number in range(15_000):
                file.create_group(f"{outer}/{number}")

    assert " objects, and 40,000" in _refusal(_hdf5(tmp_path, fill))


def test_deep_groups_are_refused_with_their_depth(tmp_path):
    def fill(file):
        file.create_group("/".join("a" * 3000))

    sentence = _refusal(_hdf5(tmp_path, fill))
    assert "65 levels deep, and 64 is the limit" in sentence


def test_a_group_that_holds_itself_ends(tmp_path):
    def fill(file):
        file["layers/again"] = file["layers"]

    keras_files.check_file(_hdf5(tmp_path, fill))


def test_long_names_are_refused(tmp_path):
    def fill(file):
        file.create_group("n" * 2000)

    assert "a name in it has 2,000 bytes" in _refusal(_hdf5(tmp_path, fill))


def test_declared_arrays_are_added_up(tmp_path):
    def fill(file):
        for number in range(3):
            file.create_dataset(f"{number}/vars/0", (90 << 20,), "i1")

    sentence = _refusal(_hdf5(tmp_path, fill))
    assert "its arrays claim 283,115,544 bytes" in sentence


def test_a_chunk_beyond_its_array_counts(tmp_path):
    def fill(file):
        file.create_dataset(
            "x", (1,), "i1", chunks=(300 << 20,), maxshape=(None,)
        )

    assert "its arrays claim" in _refusal(_hdf5(tmp_path, fill))


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/layers"), h5py.ExternalLink("/etc/x.h5", "/")]
)
def test_links_to_other_places_are_refused(tmp_path, link):
    def fill(file):
        file["there"] = link

    assert "'there' in it is a link" in _refusal(_hdf5(tmp_path, fill))


def test_structure_lists_groups_and_arrays(tmp_path):
    path = _hdf5(tmp_path, lambda file: file.create_group("layers/re_lu/vars"))
    with h5py.File(path) as file:
        found = hdf5_structure.list_objects(file)
    assert ("layers", "re_lu", "vars") in found.groups
    assert found.arrays == (("layers", "dense", "vars", "0"),)
    assert found.declared_bytes == 24


def test_limits_leave_room_for_the_largest_networks():
    # NASNetLarge: 1,546 variables in 1,041 layers, twice, each with two of
    # Adam's; and what an .h5 of ConvNeXt-XLarge takes compressed by half.
    assert hdf5_structure.MAX_OBJECTS > 2 * (2 * 1041 + 3 * 1546)
    assert hdf5_structure.MAX_EXPANSION > 2
    assert archives.MAX_EXPANSION > 2


def test_lack_of_memory_is_told_in_a_sentence(tmp_path):
    path = _hdf5(
        tmp_path, lambda file: file.create_dataset("1/vars/0", (1 << 27,), "i1")
    )
    code = (
        "import pathlib, resource\n"
        "from tf_finetune import errors\n"
        "from tf_finetune.weights import hdf5_layers, weights_file\n"
        "import h5py\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "most = used + (64 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "try:\n"
        f"    weights_file.read_weights(pathlib.Path({str(path)!r}))\n"
        "except errors.RunError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert "does not fit into memory" in done.stdout, done.stderr


def test_a_config_nested_without_end_is_damage(write_archive):
    path = write_archive(config="[" * 100_000)
    with (
        pytest.raises(errors.RunError, match="damaged"),
        keras_files.explain_errors(path),
        archives.open_archive(path) as archive,
    ):
        keras_files.read_config(archive)


def test_a_config_is_parsed(write_archive):
    path = write_archive(config=json.dumps({"class_name": "Sequential"}))
    with archives.open_archive(path) as archive:
        found = keras_files.read_config(archive)
    assert found == {"class_name": "Sequential"}
