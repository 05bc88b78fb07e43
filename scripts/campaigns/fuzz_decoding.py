"""Fuzzes the decoding of pictures with randomly damaged files.

    python scripts/campaigns/fuzz_decoding.py --count=10000 --seed=0
    python scripts/campaigns/fuzz_decoding.py --minutes=30 --seed=7

Each input is processed like a user's file: header inspection, verification,
then the decoder as training calls it at other sizes and shapes, in a child
process with limits of memory and time. Inputs that crash or block the child,
that raise anything but a refusal, or that verification accepts and training
refuses (which would end an epoch) are saved, and the exit status is 1.
"""

import argparse
import collections
import io
import json
import pathlib
import random
import select
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

_WORKER = pathlib.Path(__file__).with_name("fuzz_worker.py")
_START_SECONDS = 120
_BAD = ("crashed", "hung", "raised", "disagreed")
# Limits of 8-, 16- and 32-bit integers, where arithmetic may overflow.
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF,
            0x80000000, 0xFFFFFFFF)  # fmt: skip

Mutation = Callable[[bytearray, random.Random], bytearray]


def make_originals() -> list[bytes]:
    """Encodes intact pictures of every kind that the package decodes."""
    found = []
    for width, height in ((37, 25), (200, 150)):
        y, x = np.mgrid[:height, :width]
        channels = (x % 256, y % 256, (x * y) % 256)
        image = Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6  # Orientation: rotated by 90 degrees.
        exif[0x010F] = "maker"
        for mode, form, settings in (
            ("RGB", "JPEG", {"exif": exif}),
            ("RGB", "JPEG", {"progressive": True}),
            ("L", "JPEG", {"quality": 50}),
            ("CMYK", "JPEG", {}),
            ("RGB", "PNG", {"exif": exif}),
            ("RGBA", "PNG", {}),
            ("P", "PNG", {}),
            ("1", "PNG", {}),
            ("P", "GIF", {}),
            ("P", "GIF", {"save_all": True,
                          "append_images": [image.rotate(9)] * 3}),
            ("RGB", "WEBP", {"exif": exif}),
            ("RGBA", "WEBP", {"lossless": True}),
            ("RGB", "BMP", {}),
            ("L", "BMP", {}),
            ("RGBA", "BMP", {}),
        ):  # fmt: skip
            file = io.BytesIO()
            image.convert(mode).save(file, form, **settings)
            found.append(file.getvalue())
    return found


def generate_inputs(seed: int) -> Iterator[bytes]:
    """Yields damaged pictures endlessly; `seed` determines them."""
    sound = make_originals()
    chance = random.Random(seed)
    while True:
        data = bytearray(chance.choice(sound))
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            if chance.random() < 0.1:
                data = _splice(data, chance.choice(sound), chance)
            elif data:
                data = chance.choice(_MUTATIONS)(data, chance)
        yield bytes(data)


def _draw_position(data: bytearray, chance: random.Random) -> int:
    """Draws a position in a file, half of the time in its header."""
    end = len(data) if chance.random() < 0.5 else min(len(data), 64)
    return chance.randrange(end)


def _flip_bits(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 8)):
        data[_draw_position(data, chance)] ^= 1 << chance.randrange(8)
    return data


def _replace_bytes(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 8)):
        data[_draw_position(data, chance)] = chance.randrange(256)
    return data


def _write_odd_number(data: bytearray, chance: random.Random) -> bytearray:
    """Overwrites bytes with a number at which arithmetic may overflow."""
    form = chance.choice(("<H", ">H", "<I", ">I"))
    number = chance.choice(_NUMBERS) % (1 << (8 * struct.calcsize(form)))
    begin = _draw_position(data, chance)
    data[begin : begin + struct.calcsize(form)] = struct.pack(form, number)
    return data


def _truncate(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(len(data))]


def _cut_range(data: bytearray, chance: random.Random) -> bytearray:
    begin = _draw_position(data, chance)
    del data[begin : begin + chance.randint(1, 40)]
    return data


def _repeat_range(data: bytearray, chance: random.Random) -> bytearray:
    begin = _draw_position(data, chance)
    part = data[begin : begin + chance.randint(1, 40)]
    data[begin:begin] = part * chance.choice((1, 2, 100))
    return data


def _insert_bytes(data: bytearray, chance: random.Random) -> bytearray:
    begin = _draw_position(data, chance)
    data[begin:begin] = chance.randbytes(chance.randint(1, 40))
    return data


def _splice(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    return (
        data[: chance.randrange(len(data) + 1)]
        + other[chance.randrange(len(other)) :]
    )


def _change_length(data: bytearray, chance: random.Random) -> bytearray:
    """Changes the length field of a chunk or segment."""
    fields = _find_lengths(data)
    if not fields:
        return _write_odd_number(data, chance)
    begin, form = chance.choice(fields)
    (length,) = struct.unpack_from(form, data, begin)
    size = struct.calcsize(form)
    changed = chance.choice(
        (length + 1, length - 1, length * 2, 0, 1, chance.choice(_NUMBERS))
    )
    struct.pack_into(form, data, begin, changed % (1 << (8 * size)))
    return data


def _find_lengths(data: bytearray) -> list[tuple[int, str]]:
    """Returns position and struct format of the length fields in a file."""
    found = []
    if data.startswith(b"\xff\xd8"):
        for begin in range(2, len(data) - 4):
            if data[begin] == 0xFF and 0xC0 <= data[begin + 1] < 0xFF:
                found.append((begin + 2, ">H"))
    elif data.startswith(b"\x89PNG"):
        found = [(begin, ">I") for begin, _ in _find_png_chunks(data)]
    elif data.startswith(b"RIFF"):
        begin, found = 12, [(4, "<I")]
        while begin + 8 <= len(data):
            found.append((begin + 4, "<I"))
            (length,) = struct.unpack_from("<I", data, begin + 4)
            begin += 8 + length + length % 2
    elif data.startswith(b"GIF"):
        found = [
            (begin, "B") for begin in range(13, len(data)) if data[begin] == 254
        ]
    elif data.startswith(b"BM") and len(data) > 54:
        found = [(begin, "<I") for begin in (2, 10, 14, 18, 22, 34, 46)]
    return found


def _find_png_chunks(data: bytearray) -> list[tuple[int, int]]:
    """Returns the start of each PNG chunk, and the length of its content."""
    found, begin = [], 8
    while begin + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, begin)
        if begin + 12 + length > len(data):
            break
        found.append((begin, length))
        begin += 12 + length
    return found


def _change_png_chunk(data: bytearray, chance: random.Random) -> bytearray:
    """Changes a PNG chunk and its checksum, so that decoders read it."""
    chunks = [c for c in _find_png_chunks(data) if c[1]]
    if not data.startswith(b"\x89PNG") or not chunks:
        return _flip_bits(data, chance)
    begin, length = chance.choice(chunks)
    data[begin + 8 + chance.randrange(length)] = chance.randrange(256)
    checksum = zlib.crc32(data[begin + 4 : begin + 8 + length])
    struct.pack_into(">I", data, begin + 8 + length, checksum)
    return data


def _change_exif(data: bytearray, chance: random.Random) -> bytearray:
    """Changes bytes behind the marker of an EXIF block."""
    begins = [data.find(mark) for mark in (b"Exif\0\0", b"eXIf", b"EXIF")]
    begin = max(begins)
    if begin < 0:
        return _replace_bytes(data, chance)
    end = min(begin + 50, len(data))
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(begin, end)] = chance.randrange(256)
    return data


_MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits, _replace_bytes, _write_odd_number, _truncate, _cut_range,
    _repeat_range, _insert_bytes, _change_length, _change_png_chunk,
    _change_exif,
)  # fmt: skip


class Child:
    """The child process that decodes the pictures."""

    def __init__(self, memory_gb: float, seconds: float) -> None:
        self._command = [sys.executable, str(_WORKER), str(memory_gb)]
        self._seconds = seconds
        self._process: subprocess.Popen | None = None

    def ask(self, data: bytes) -> str:
        """Returns the outcome of one input: a word, perhaps with details."""
        if self._process is None:
            self._start()
        try:
            self._process.stdin.write(struct.pack(">I", len(data)) + data)
            self._process.stdin.flush()
        except BrokenPipeError:
            return self.end("crashed")
        return self._read_answer(self._seconds)

    def end(self, why: str = "") -> str:
        """Ends the process, if there is one, and returns the reason."""
        if self._process:
            self._process.kill()
            status = self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None
            if why == "crashed":
                why += f" with status {status}"
        return why

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if (said := self._read_answer(_START_SECONDS)) != "ready":
            sys.exit(f"Error: the child process did not start: {said}.")

    def _read_answer(self, seconds: float) -> str:
        # At most one line is buffered there, so that select sees it.
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return self.end("hung")
        line = self._process.stdout.readline()
        return json.loads(line) if line else self.end("crashed")


def main() -> int:
    """Runs until `--count` or `--minutes` is reached; returns the status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, help="stop after so many inputs")
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory_gb", type=float, default=8.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="an input")
    parser.add_argument("--save", type=pathlib.Path, default="fuzz_findings")
    given = parser.parse_args()
    if given.count is None and given.minutes is None:
        parser.error("--count or --minutes is needed")
    end = time.monotonic() + 60 * (given.minutes or float("inf"))
    counts: collections.Counter = collections.Counter()
    child = Child(given.memory_gb, given.seconds)
    for number, data in enumerate(generate_inputs(given.seed)):
        if number == given.count or time.monotonic() > end:
            break
        said = child.ask(data)
        word = said.split()[0]
        counts[word] += 1
        if word in _BAD:
            given.save.mkdir(parents=True, exist_ok=True)
            name = f"{word}-{given.seed}-{number}"
            (given.save / name).write_bytes(data)
            print(f"{given.save / name}: {said}", flush=True)
    child.end()
    total = sum(counts.values())
    words = ("refused", "accepted", *_BAD)
    print(f"{total} inputs: " + ", ".join(f"{counts[w]} {w}" for w in words))
    return int(any(counts[word] for word in _BAD))


if __name__ == "__main__":
    sys.exit(main())
