"""What a file holds, told from its first bytes."""

import re

DECODABLE = ("JPEG", "PNG", "GIF", "BMP", "WebP")
"""The kinds of pictures that this package decodes."""

HEAD_BYTES = 512
"""How many bytes of a file `of` wants to see."""

SIGNATURES: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = (
    ("JPEG", ((0, b"\xff\xd8\xff"),)),
    ("PNG", ((0, b"\x89PNG\r\n\x1a\n"),)),
    ("GIF", ((0, b"GIF87a"),)),
    ("GIF", ((0, b"GIF89a"),)),
    ("BMP", ((0, b"BM"),)),
    ("WebP", ((0, b"RIFF"), (8, b"WEBP"))),
)
"""The kinds of `DECODABLE` and what begins where in a file of each.

Plain bytes, no expressions: graphs of TensorFlow, whose expressions know text
only, look for them too.
"""

_STARTS = (
    (rb"II[*+]\x00|MM\x00[*+]", "a TIFF"),
    (rb".{4}ftypavi[fs]", "an AVIF"),
    (rb".{4}ftyp(hei|hev|mif|msf)", "a HEIC"),
    (rb".{4}ftyp", "a video"),
    (rb"\x00\x00\x00\x0cJXL |\xff\x0a", "a JPEG XL"),
    (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000"),
    (rb"\x00\x00[\x01\x02]\x00", "an icon (ICO)"),
    (rb"8BPS", "a Photoshop file"),
    (rb"%PDF", "a PDF"),
    (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"Rar!|7z\xbc\xaf", "an archive"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"P[1-7]\s", "a Netpbm picture"),
    (
        rb"version https://git-lfs",
        "a Git LFS pointer (`git lfs pull` fetches the picture)",
    ),
)
_TEXTS = (
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg",
     "an SVG"),
    (rb"\s*(<!--.*?-->\s*)?<(!doctype )?html", "HTML"),
    (rb"\s*<\?xml", "XML"),
)  # fmt: skip


def of(head: bytes) -> str:
    """Names the kind of a file.

    Args:
        head: The first `HEAD_BYTES` bytes of the file, fewer if it is short.

    Returns:
        One of `DECODABLE`, or what else it is in words: "a TIFF", "HTML",
        "plain text", "no known kind of file".
    """
    for kind, parts in SIGNATURES:
        if all(head.startswith(part, begin) for begin, part in parts):
            return kind
    for pattern, kind in _STARTS:
        if re.match(pattern, head, re.DOTALL):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf")
    for pattern, kind in _TEXTS:
        if re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            return kind
    return "plain text" if _is_text(text) else "no known kind of file"


def _is_text(head: bytes) -> bool:
    """Tells if the bytes are UTF-8 without control characters."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may be cut in two.
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and all(c.isprintable() or c.isspace() for c in text)
