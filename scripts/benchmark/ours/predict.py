"""Measures prediction of this package, or of a SavedModel it exported.

python predict.py FOLDER WORKDIR|SAVED_MODEL
"""

import json
import pathlib
import sys
import time

from tf_finetune import environment


def main(folder: str, path: str) -> None:
    """Prints pictures per second, without the loading of the model."""
    environment.start_tensorflow()
    paths = sorted(str(p) for p in pathlib.Path(folder).glob("*/*.jp*g"))
    saved = sorted(pathlib.Path(path).glob("**/saved_model.pb"))
    rate = (
        _measure_run
        if (pathlib.Path(path) / "run.json").exists()
        else _measure_export
    )
    print(json.dumps({"rate": rate(path, saved, folder, paths)}))


def _measure_run(path, saved, folder, paths) -> float:
    del saved
    from tf_finetune.config import picture_options
    from tf_finetune.data import pipeline
    from tf_finetune.model import inference
    from tf_finetune.runs.finished import finished_run

    found = finished_run.load_finished(path)
    start = time.perf_counter()
    images = pipeline.build_evaluation_images(
        paths, picture_options.Square(224), batch_size=32
    )
    inference.predict(found.model, images)
    return len(paths) / (time.perf_counter() - start)


def _measure_export(path, saved, folder, paths) -> float:
    del path
    import tensorflow as tf

    serve = tf.saved_model.load(str(saved[-1].parent)).signatures[
        "serving_default"
    ]
    start = time.perf_counter()
    for first in range(0, len(paths), 32):
        block = [
            pathlib.Path(p).read_bytes() for p in paths[first : first + 32]
        ]
        serve(image_bytes=tf.constant(block))
    return len(paths) / (time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
