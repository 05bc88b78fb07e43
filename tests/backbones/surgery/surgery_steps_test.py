"""The before/after table of the plan."""

from tf_finetune.backbones.surgery import surgery_steps


def test_every_change_is_a_row_of_80_columns_at_most():
    table = surgery_steps.format_table(
        [
            surgery_steps.Change(
                flag="--norm=group",
                layers=surgery_steps.summarize_names(
                    ["conv1_bn", "a", "conv5_block3_3_bn"]
                ),
                before="BatchNormalization",
                after="GroupNormalization, 32 groups or the largest divisor",
                kept=53_120,
                dropped=53_120,
            ),
            surgery_steps.Change(
                flag="+se", layers="x_add", before="a", after="b", new=2_000_000
            ),
        ]
    )
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == [
        "surgery", "(before", "→", "after)", "kept", "new", "dropped",
    ]  # fmt: skip
    assert lines[2].startswith("--norm=group: conv1_bn … conv5_block3_3_bn")
    assert lines[2].split()[-3:] == ["53,120", "0", "53,120"]
    assert lines[-2].split() == [
        "+se:", "x_add:", "a", "→", "b", "0", "2,000,000", "0",
    ]  # fmt: skip


def test_nothing_without_changes():
    assert surgery_steps.summarize_names(["one"]) == "one"
