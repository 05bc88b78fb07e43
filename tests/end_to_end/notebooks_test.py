"""The notebooks: each runs from its first cell to its last, and is clean."""

import ast
import pathlib

import pytest
from PIL import Image

from tf_finetune.config import options, train_config

nbformat = pytest.importorskip("nbformat")

_ROOT = pathlib.Path(__file__).parents[2]
_NOTEBOOKS = sorted(_ROOT.glob("notebooks/*.ipynb"))

# Nothing outside of this machine answers a notebook under test.
_NO_NETWORK = """
import socket

_connect = socket.socket.connect

def _connect_here(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
        raise OSError(f"a notebook asked for {address}")
    return _connect(self, address)

socket.socket.connect = _connect_here
"""

_SMALL = {"EPOCHS": 2, "WORKDIR": "run"}
_OWN = {
    **_SMALL,
    "BACKBONE": "small_cnn",
    "WEIGHTS": "digits",
    "IMAGE_SIZE": 32,
}


def _read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def _parameters(notebook):
    (cell,) = [
        each
        for each in notebook.cells
        if "parameters" in each.metadata.get("tags", ())
    ]
    return cell


def _assigned(cell) -> dict:
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(cell.source).body
    }


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_valid_and_carries_no_outputs(path):
    notebook = _read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    title, install = notebook.cells[:2]
    assert title.source.startswith("# ")
    assert "https://colab.research.google.com/" in title.source
    assert "%pip install" in install.source
    assert set(_SMALL) <= set(_assigned(_parameters(notebook)))


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_uses_the_packages_front_alone(path):
    for cell in _read(path).cells:
        if cell.cell_type == "code" and "%" not in cell.source:
            for node in ast.walk(ast.parse(cell.source)):
                assert not isinstance(node, ast.ImportFrom) or (
                    node.module.partition(".")[0]
                    not in ("tf_finetune", "tensorflow", "keras")
                )
                for each in getattr(node, "names", ()):
                    if isinstance(node, ast.Import):
                        assert each.name not in ("tensorflow", "keras")
                        assert not each.name.startswith("tf_finetune.")


def test_the_quickstart_is_that_of_its_flagfile():
    notebook = _read(_ROOT / "notebooks" / "quickstart.ipynb")
    values = _assigned(_parameters(notebook))
    (source,) = [
        cell.source for cell in notebook.cells if "SETTINGS = {" in cell.source
    ]
    settings = ast.parse(source).body[1].value
    keywords = {
        key.value: values.get(getattr(value, "id", ""), value)
        for key, value in zip(settings.keys, settings.values, strict=True)
    }
    given = {
        name: ast.literal_eval(value) if isinstance(value, ast.AST) else value
        for name, value in keywords.items()
    }
    flagfile = options.from_flagfile(
        train_config.TrainConfig, str(_ROOT / "configs" / "quickstart.flags")
    )
    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": values["DATA"], "weights": "digits", **given},
    )
    untied = {"workdir": "", "overwrite": False}
    assert options.replace(config, **untied) == options.replace(
        flagfile, **untied
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder of the notebooks' own: their caches lie there."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def executed(home, tmp_path, monkeypatch):
    """A function that runs a notebook with other parameters."""
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("HOME", str(home))

    def execute(name, **parameters):
        notebook = _read(_ROOT / "notebooks" / f"{name}.ipynb")
        cell = _parameters(notebook)
        assert set(parameters) <= set(_assigned(cell))
        for parameter, value in parameters.items():
            cell.source += f"\n{parameter} = {value!r}"
        first = nbformat.v4.new_code_cell(_NO_NETWORK)
        notebook.cells.insert(0, first)
        client.NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
        ).execute()
        return notebook

    return execute


def _printed(notebook) -> str:
    outputs = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    ]
    warnings = [each.text for each in outputs if each.name == "stderr"]
    assert not warnings, "a notebook shows this as an error"
    return "".join(each.text for each in outputs)


def _drawn(notebook) -> int:
    return sum(
        "image/png" in output.get("data", ())
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )


@pytest.mark.campaign
def test_the_quickstart_runs_and_shows_how_far_it_is(executed):
    notebook = executed("quickstart", **_SMALL, PATIENCE=2)
    printed = _printed(notebook)
    assert "100%|" in printed, "the bar of what comes before training"
    assert "fine_tune epoch 2/2  " in printed, "figures of training"
    assert "pretrained   0." in printed and "from scratch 0." in printed
    assert _drawn(notebook) == 4


@pytest.mark.campaign
def test_own_pictures_runs_on_a_folder_with_a_file_that_is_none(
    executed, pictures, tmp_path
):
    data = tmp_path / "mine"
    for path in sorted(pictures.glob("*/*.png")):
        copied = data / path.parent.name / path.name
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    (data / "red" / "0.jpg").write_text("no picture")
    # A red picture among the green ones: an error of the label.
    with Image.open(data / "red" / "1.png") as red:
        red.transpose(Image.Transpose.ROTATE_90).save(data / "green/odd.png")
    notebook = executed("own_pictures", **_OWN, DATA=str(data))
    printed = _printed(notebook)
    assert "held-out pictures are classified wrong" in printed
    assert "red: 17 files" in printed
    assert "not an image that can be used" in printed
    assert _drawn(notebook) >= 5


@pytest.mark.campaign
def test_few_labels_shows_both_ways_at_each_number(executed, pictures):
    # Without a share, as for a folder that brings pictures in test/.
    own = {**_OWN, "DATA": str(pictures), "TEST_FRACTION": None}
    notebook = executed("few_labels", **own, LABELS=(1, 3))
    printed = _printed(notebook)
    assert "1 a class: kept " in printed and "3 a class: kept " in printed
    assert "per class  probe  kept" in printed
    assert _drawn(notebook) == 1


@pytest.mark.campaign
def test_export_and_serve_asks_what_it_exported(executed, pictures):
    notebook = executed(
        "export_and_serve",
        **_OWN,
        DATA=str(pictures),
        FORMATS=("saved_model", "keras"),
    )
    printed = _printed(notebook)
    assert "largest difference" in printed
    assert printed.count("evaluation: ") == 4
    for line in printed.splitlines():
        if line.startswith("evaluation: "):
            _, label, share, _, served, answered = line.split()
            assert served == label
            assert float(answered) == pytest.approx(float(share), abs=2e-5)


@pytest.mark.campaign
def test_segmentation_draws_masks_over_pictures(executed):
    notebook = executed("segmentation", **_OWN, HEAD_UNITS=8)
    printed = _printed(notebook)
    assert "mean IoU 0." in printed and "  ink " in printed
    assert "as predicted: 100.00%" in printed
    assert _drawn(notebook) == 1
