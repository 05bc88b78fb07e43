"""First bytes of picture files by kind.

Imports nothing, so that the server and the client know them, too.
"""

FIRST_BYTES = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "GIF": b"GIF8",
    "BMP": b"BM",
    "WebP": b"RIFF",
}
"""By kind, the bytes that its files begin with; of WebP those of any RIFF."""

SIGNATURES: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = (
    ("JPEG", ((0, FIRST_BYTES["JPEG"]),)),
    ("PNG", ((0, FIRST_BYTES["PNG"]),)),
    ("GIF", ((0, FIRST_BYTES["GIF"] + b"7a"),)),
    ("GIF", ((0, FIRST_BYTES["GIF"] + b"9a"),)),
    ("BMP", ((0, FIRST_BYTES["BMP"]),)),
    ("WebP", ((0, FIRST_BYTES["WebP"]), (8, b"WEBP"))),
)
"""The kinds, with offsets and bytes that a file of each has.

Plain bytes, no expressions: graphs of TensorFlow, whose expressions know text
only, look for them too.
"""
