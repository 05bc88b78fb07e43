"""Prints the results of the quickstart: `quickstart_summary.py RUN SCRATCH`."""

import json
import pathlib
import sys


def main(run: str, scratch: str) -> None:
    """Prints both accuracies and the commands to try next."""
    print("Handwritten digits 5-9, ten training pictures a class, test split:")
    print(f"  pretrained on 0-4, fine-tuned   {_format_accuracy(run)}")
    print(f"  without the pretrained weights  {_format_accuracy(scratch)}")
    print(f"Results lie in {run}/ (evaluation.json, confusion_test.png, …).")
    print("Try next:")
    print(
        "  .venv/bin/python -m tf_finetune.train --data=YOUR_FOLDER "
        "--backbone=mobilenet_v2"
    )
    print(
        f"  .venv/bin/python -m tf_finetune.export --workdir={run} "
        "--format=saved_model"
    )


def _format_accuracy(run: str) -> str:
    text = (pathlib.Path(run) / "evaluation.json").read_text(encoding="utf-8")
    test = json.loads(text)["test"]
    low, high = test["accuracy_interval"]
    return (
        f"accuracy {test['accuracy']:.3f} (95 % interval {low:.3f} to "
        f"{high:.3f})"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
