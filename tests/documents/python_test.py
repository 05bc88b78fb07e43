"""The documents' Python runs, at the size of a test."""

import ast
import re

import pytest
from documents import (
    command_rules,
    documented_commands,
    sample_data,
    small_settings,
)

from tf_finetune.config import options, train_config

_BLOCKS = [
    (document, code)
    for document, code in documented_commands.python_blocks()
    if not documented_commands.asks_a_server(code)
]


class _Smaller(ast.NodeTransformer):
    """Makes every `tff.fine_tune(…)` of a block a small run."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if getattr(node.func, "attr", "") != "fine_tune":
            return node
        # What an earlier line found, such as a recommended backbone, stays.
        found = [k for k in node.keywords if isinstance(k.value, ast.Attribute)]
        given = {
            k.arg: ast.literal_eval(k.value)
            for k in node.keywords
            if k not in found
        }
        if node.args:
            given["data"] = ast.literal_eval(node.args.pop())
        config = options.from_keywords(train_config.TrainConfig, given)
        # Settings that a recipe found are mostly those of fine-tuning.
        has_settings = any(each.arg is None for each in found)
        given |= small_settings.smaller(config, fine_tuned=has_settings)
        for each in found:
            given.pop(each.arg, None)
        node.keywords = found + [
            ast.keyword(name, ast.Constant(value))
            for name, value in given.items()
        ]
        return node


def _made_small(code: str) -> str:
    tree = _Smaller().visit(ast.parse(code))
    return ast.unparse(ast.fix_missing_locations(tree))


# A file that a block reads, and others that it says it serves likewise.
_SERVES = re.compile(r'# Or (.+):\n.*"([^"]+/)([^"/]+)"')


def _for_each_file(code: str) -> str:
    """Returns a block once for each file that it says it serves.

    The answers are kept in `answered`, by the name of the file.
    """
    claim = _SERVES.search(code)
    if claim is None:
        return code
    others, folder, name = claim.groups()
    found = ["answered = {}"]
    for each in (name, *others.split(", ")):
        found.append(code.replace(folder + name, folder + each))
        found.append(f"answered[{each!r}] = answer")
    return "\n".join(found)


# What comes of the blocks of a document, as its sentences say.
_AFTERWARDS = {
    "docs/exports.md": """
served = answers["probabilities"].numpy()
assert set(answered) == {
    "model.tflite", "model_float16.tflite", "model_dynamic.tflite",
    "model_int8.tflite",
}
for said in (served, expected, of_onnx, *answered.values()):
    assert said.shape == (1, len(labels))
    assert np.allclose(said.sum(1), 1, atol=0.02)
    # A picture is made smaller here and there in other ways.
    assert np.abs(said - expected).max() < 0.3
assert np.abs(of_onnx - expected).max() < 1e-4
assert np.abs(answered["model.tflite"] - expected).max() < 1e-4
""",
    "docs/serving.md": """
import numpy as np
runner = tf.lite.Interpreter(model_content=content).get_signature_runner()
pixels = np.random.default_rng(0).uniform(0, 255, [1, 32, 32, 3])
pixels = pixels.astype("float32")
of_litert = runner(images=pixels)["probabilities"]
assert len(layer.weights) == len(loaded.variables) > 0
assert np.allclose(of_litert, layer(pixels)["probabilities"], atol=1e-4)
""",
    "README.md": """
import numpy as np
assert run.evaluation["test"]["accuracy"] > 0.5
assert type(run.model).__module__.startswith("keras.")
pixels = np.full([2, 32, 32, 3], 255.0)
assert np.allclose(run.model.predict(pixels).sum(1), 1)
""",
    "docs/surgery.md": """
assert backbone.model.input_shape == (None, 128, 128, 7)
""",
}


def _prepare(document, code, house):
    """Makes what the blocks of a document read."""
    for name in sample_data.WEIGHTS:
        if name in code:
            house.write_weights(name)
    own = [
        command
        for command, _ in command_rules.of_kind("package")
        if command.document == document
    ]
    for command in own:
        if command.flag("workdir") and command.flag("workdir") in code:
            house.need(house.run(command))


def _choose_marks(document: str) -> list[pytest.MarkDecorator]:
    # Seconds; the blocks of others train and export.
    if document == "docs/surgery.md":
        return [pytest.mark.slow]
    return command_rules.mark_campaign(document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(name, marks=_choose_marks(name))
        for name in sorted({name for name, _ in _BLOCKS})
    ],
)
def test_the_blocks_of_a_document_run_one_after_the_other(document, house):
    code = "\n".join(
        _for_each_file(block) for name, block in _BLOCKS if name == document
    )
    _prepare(document, code, house)
    check = _AFTERWARDS.get(document, "")
    done = house.wait(["-c", f"{_made_small(code)}\n{check}"])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.campaign
def test_a_network_of_ones_own_is_trained_by_its_name(house):
    page = (documented_commands.ROOT / "docs" / "backbones.md").read_text(
        "utf-8"
    )
    (code,) = documented_commands.blocks(page, "python")
    (name,) = re.findall(r"can be imported,\ne\.g\. `(\w+\.py)`", page)
    (flags,) = re.findall(r"`(--backbone=\w+:\w+ [^`]+)`", page)
    (call,) = re.findall(r"`(catalog\.BACKBONES\.add\([^`]+)`", page)
    (house.folder / name).write_text(code)
    words = ["--data=flowers", *flags.split(), "--workdir=runs/own"]
    smaller = small_settings.smaller(small_settings.config("train", words))
    done = house.wait(
        ["-m", "tf_finetune.train", *words, *small_settings.as_flags(smaller)]
    )
    assert done.returncode == 0, done.stderr
    assert "tiny" in (house.folder / "runs/own/run.flags").read_text().lower()
    registered = (
        f"from {name[:-3]} import TINY\n"
        "from tf_finetune.backbones import build, catalog\n"
        f"{call}\nassert build.build('tiny', image_size=32).stages"
    )
    done = house.wait(["-c", registered])
    assert done.returncode == 0, done.stderr
