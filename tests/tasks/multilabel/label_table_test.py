"""The printed table of labels."""

from tf_finetune.tasks.multilabel import label_table


def _label(precision: float | None, support: int = 3) -> dict:
    keys = ("average_precision", "roc_auc", "precision", "recall", "f1")
    row = dict.fromkeys(keys, precision)
    return {**row, "threshold": 0.4, "support": support}


def _result(rows: dict) -> dict:
    return {
        "examples": 9,
        "macro_average_precision": 0.5,
        "macro_average_precision_interval": [0.4, 0.6],
        "exact_match": 0.25,
        "hamming_loss": 0.125,
        "log_loss": 0.3,
        "per_label": rows,
    }


def test_what_is_not_defined_is_a_dash():
    text = label_table.format_results({"test": _result({"a": _label(None, 0)})})
    assert ["a", *["-"] * 5, "0.400", "0"] in [
        line.split() for line in text.splitlines()
    ]


def test_of_many_labels_the_worst_and_the_best_are_shown():
    rows = {f"{i:02}": _label(i / 100) for i in range(40)}
    lines = label_table.format_labels("test", _result(rows)).splitlines()
    shown = [line.split()[0] for line in lines]
    assert shown[1:11] == [f"{i:02}" for i in range(10)]
    assert "25 more labels" in lines[11]
    assert shown[12:17] == ["35", "36", "37", "38", "39"]


def test_long_names_keep_the_columns():
    rows = {"動物" * 20: _label(0.5), "a": _label(0.5)}
    lines = label_table.format_labels("test", _result(rows)).splitlines()
    assert lines[1].split()[1:] == lines[2].split()[1:]


def test_nothing_evaluated_is_said():
    assert (
        label_table.format_results({"kept": "probe"})
        == "no split was evaluated"
    )
