"""Child process of fuzz_decoding.py: decodes pictures, answers with outcomes.

Reads a length (4 bytes, big-endian) and as many bytes, answers with one line of
JSON: "accepted", "refused …", "raised …" or "disagreed …".
"""

import json
import os
import pathlib
import resource
import struct
import sys
import tempfile
import traceback


def main() -> None:
    """Answers until the input ends."""
    # Standard output is for answers alone: TensorFlow and libraries in C write
    # to the devices 1 and 2, too.
    answers = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    limit = int(float(sys.argv[1]) * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        _classify(
            place, b""
        )  # Loads all modules before the time limit applies.
        print(json.dumps("ready"), file=answers, flush=True)
        while size := sys.stdin.buffer.read(4):
            data = sys.stdin.buffer.read(*struct.unpack(">I", size))
            print(json.dumps(_classify(place, data)), file=answers, flush=True)


def _classify(place: pathlib.Path, data: bytes) -> str:
    try:
        return _run_pipeline(place, data)
    except Exception:
        return "raised " + traceback.format_exc()


def _run_pipeline(place: pathlib.Path, data: bytes) -> str:
    """Runs inspection, verification and decoding on one picture."""
    import tensorflow as tf

    from tf_finetune.config import data_options, picture_options
    from tf_finetune.data import examples
    from tf_finetune.data.images import decoding, inspection, verification

    path = place / "picture"
    path.write_bytes(data)
    pictures, dropped = inspection.inspect_files(
        [examples.Example(path=str(path), label="")],
        max_pixels=data_options.DataOptions().max_pixels,
    )
    if dropped:
        return f"refused {dropped[0].reason}"
    cache = place / "cache"
    found = verification.decode_pictures(
        pictures, cache_dir=cache, square=picture_options.Square(32)
    )
    for file in cache.glob("verdicts/*"):
        file.unlink()
    if found:
        return f"refused {found[str(path)]}"
    # A cached verdict holds for every size and shape: others are tried too.
    for image_size, resize in ((128, "crop"), (16, "pad")):
        try:
            decoding.load_file(
                str(path), picture_options.Square(image_size, resize)
            )
        except tf.errors.OpError as error:
            return f"disagreed at {image_size}, {resize}: {error.message}"
    return "accepted"


if __name__ == "__main__":
    main()
