"""No command of the documents is run by nobody."""

import pathlib
import re

import pytest
from documents import command_rules, documented_commands, small_settings

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("command", documented_commands.commands(), ids=str)
def test_a_command_has_one_rule_that_says_who_runs_it(command):
    assert len(command_rules.rules_of(command)) == 1


@pytest.mark.parametrize(
    "rule", command_rules.RULES, ids=lambda each: each.pattern
)
def test_a_rule_is_of_a_command_that_is_there(rule):
    assert any(
        rule in command_rules.rules_of(each)
        for each in documented_commands.commands()
    )
    assert bool(rule.reason) == (rule.kind == "not run")


def test_what_says_who_runs_a_kind_is_true():
    here = pathlib.Path(__file__).parent
    for kind, name in command_rules.RUN_BY.items():
        assert f'"{kind}"' in (here / name).read_text("utf-8"), kind
    assert {rule.kind for rule in command_rules.RULES} == set(
        command_rules.RUN_BY
    )


@pytest.mark.parametrize(
    "command",
    [
        command
        for command, _ in command_rules.of_kind(
            "package", "workers", "served", "not run"
        )
        if command.module
    ],
    ids=str,
)
def test_a_command_of_the_package_has_flags_that_exist(command, monkeypatch):
    monkeypatch.chdir(documented_commands.ROOT)  # Flagfiles stand there.
    name = command.module.partition(".")[2]
    small_settings.config(name, small_settings.filled_in(command)[3:])


def test_every_script_that_is_named_exists():
    scripts = [each.script for each in documented_commands.commands()]
    assert [each for each in scripts if each]
    assert not [
        each
        for each in scripts
        if each and not (documented_commands.ROOT / each).is_file()
    ]


_PAGE = """
```bash
pip install x   # a comment
export A='{1,
  2}'
python -m tf_finetune.train \\
  --data=a
```

Then `python -m
tf_finetune.cache --clear=all`, with `--clear`, prints `a table`.

```
python not this
```
"""


def test_commands_are_read_from_blocks_and_sentences():
    found = documented_commands.in_document(_PAGE, "page.md")
    assert [each.words for each in found] == [
        ("pip", "install", "x"),
        ("python", "-m", "tf_finetune.train", "--data=a"),
        ("python", "-m", "tf_finetune.cache", "--clear=all"),
    ]
    assert found[0].text == "pip install x"
    assert found[1].environment == (("A", "{1,\n  2}"),)
    assert [each.in_a_sentence for each in found] == [False, False, True]


def test_an_open_quotation_is_an_error():
    with pytest.raises(ValueError, match="open quotation"):
        documented_commands.in_document("```sh\necho 'a\n```\n", "page.md")


def test_a_flagfiles_command_goes_on_on_the_next_line():
    text = "# Command: python -m a\n#   --b=c\n# Expected: 1\n"
    (found,) = documented_commands.in_flagfile(text, "a.flags")
    assert found.text == "python -m a --b=c"


def test_a_command_without_a_rule_is_noticed():
    made = documented_commands.Command(
        "a.md", ("python", "new.py"), "python new.py"
    )
    assert not command_rules.rules_of(made)


@pytest.mark.parametrize(
    "path", documented_commands.DOCUMENTS, ids=lambda p: p.name
)
def test_code_stands_in_fences_of_a_language_that_is_read(path):
    text = path.read_text(encoding="utf-8")
    fences = [line for line in text.splitlines() if line.startswith("```")]
    assert {*fences[::2]} <= {"```", "```bash", "```sh", "```python", "```yaml"}
    assert {*fences[1::2]} <= {"```"}
    for body in documented_commands.blocks(text, ""):
        assert "tf_finetune." not in body and "$ " not in body
    # What is indented in Markdown is code too.
    indented = re.findall(r"^ {4,}([\w-]+) ", text, re.MULTILINE)
    assert not {*indented} & {*documented_commands.PROGRAMS}
