"""Kind of a file by its first bytes, and sample format of picture files.

The sample format is the depth, the alpha channel and the losses of encoding.
"""

import re
import zlib

from tf_finetune.untrusted import picture_signatures

DECODABLE = ("JPEG", "PNG", "GIF", "BMP", "WebP")
"""The kinds of pictures that this package decodes."""

HEAD_BYTES = 1024
"""How many bytes of a file `detect_kind` wants to see."""

_DICOM = "a DICOM file"
_NIFTI = "a NIfTI volume"
_RAW = "a raw picture of a camera"
_HEIC = "a HEIC"
_EXR = "an OpenEXR picture"
_TIFF = rb"(?:II[*+]\x00|MM\x00[*+])"
_MAKERS = (
    rb"(?:NIKON|SONY|PENTAX|RICOH|SAMSUNG|KODAK|Hasselblad|Leaf|Phase One)"
)

_SIGNATURE_PATTERNS = (
    # Its first 128 bytes may be anything, also the head of a TIFF.
    (rb".{128}DICM", _DICOM),
    (rb".{344}(n\+1|ni1)\x00|.{4}(n\+2|ni2)\x00", _NIFTI),
    (rb"II\*\x00.{4}CR", _RAW),
    # The tag DNGVersion; four bytes.
    (_TIFF + rb".*?\x12\xc6\x01\x00\x04\x00\x00\x00", _RAW),
    (_TIFF + rb".*?\xc6\x12\x00\x01\x00\x00\x00\x04", _RAW),
    # A maker's name, and pictures within the picture.
    (
        _TIFF + rb"(?=.*?(?:\x4a\x01\x04\x00|\x01\x4a\x00\x04)).*?" + _MAKERS,
        _RAW,
    ),
    (rb"IIR[OS]|MMOR|IIU\x00|FUJIFILMCCD-RAW|FOVb|\x00MRM|.{4}ftypcrx", _RAW),
    (rb"II\xbc\x01", "a JPEG XR"),
    (_TIFF, "a TIFF"),
    (rb".{4}ftypavi[fs]", "an AVIF"),
    (rb".{4}ftyp(hei|hev|mif|msf)", _HEIC),
    (rb".{4}ftyp", "a video"),
    (rb"\x00\x00\x00\x0cJXL |\xff\x0a", "a JPEG XL"),
    (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000"),
    # Without a palette; it begins as a cursor does, which holds some pictures.
    (rb"\x00\x00[\x02\x03\x0a\x0b]\x00{5}.{8}[\x08\x10\x18\x20]", "a TGA"),
    (rb"\x00\x00[\x01\x02]\x00(?!\x00\x00)", "an icon (ICO)"),
    (rb"8BPS", "a Photoshop file"),
    (rb"%PDF", "a PDF"),
    (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"Rar!|7z\xbc\xaf", "an archive"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"\x89HDF\r\n\x1a\n|.{512}\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (rb"CDF[\x01\x02\x05]", "a NetCDF file"),
    (rb"SIMPLE  =", "a FITS file"),
    (rb"MATLAB \d", "a MATLAB file"),
    (rb"NRRD\d", "an NRRD volume"),
    (rb"(ObjectType|NDims) *=", "a MetaImage volume"),
    (rb".{208}MAP ", "an MRC volume"),
    (rb"ZISRAWFILE", "a microscope's file (CZI)"),
    (
        rb"\xda\xce\xbe\x0a|\x00\x00\x00\x0cjP  \r\n\x87\x0a.*ND2",
        "a microscope's file (ND2)",
    ),
    (rb"\x76\x2f\x31\x01", _EXR),
    (rb"#\?(RADIANCE|RGBE)", "a Radiance picture (HDR)"),
    (rb"DDS ", "a DirectDraw surface (DDS)"),
    (rb"gimp xcf", "a GIMP file"),
    (rb"qoif", "a QOI"),
    (rb"BPG\xfb", "a BPG"),
    (rb"FLIF", "a FLIF"),
    (rb"\x0a[\x00-\x05]\x01[\x01\x02\x04\x08]", "a PCX"),
    (rb"\x01\xda[\x00\x01][\x01\x02]", "an SGI picture"),
    (rb"icns", "an icon (ICNS)"),
    (rb"AT&TFORM", "a DjVu document"),
    (rb"%!PS", "PostScript"),
    (rb"PAR1", "a Parquet table"),
    (rb"SQLite format 3", "an SQLite database"),
    (rb"\x80[\x02-\x05][\x95\x8a(})\]c]", "a Python pickle"),
    (rb"\x1a\x45\xdf\xa3|RIFF.{4}AVI |\x00\x00\x01[\xba\xb3]", "a video"),
    (rb"RIFF.{4}WAVE|ID3|OggS|fLaC", "a sound"),
    (rb"P[1-7]\s", "a Netpbm picture"),
    (
        rb"version https://git-lfs",
        "a Git LFS pointer (`git lfs pull` fetches the picture)",
    ),
)
_TEXT_PATTERNS = (
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg",
     "an SVG"),
    (rb"\s*(<!--.*?-->\s*)?<(!doctype )?html", "HTML"),
    (rb"\s*<\?xml", "XML"),
)  # fmt: skip

_PILLOW_ADVICE = "Pillow saves it as PNG"
CONVERSIONS = {
    "a TIFF": _PILLOW_ADVICE,
    "an AVIF": _PILLOW_ADVICE,
    "a JPEG 2000": _PILLOW_ADVICE,
    "a TGA": _PILLOW_ADVICE,
    "an icon (ICO)": _PILLOW_ADVICE,
    "an icon (ICNS)": _PILLOW_ADVICE,
    "a Photoshop file": _PILLOW_ADVICE,
    "a Netpbm picture": _PILLOW_ADVICE,
    "a PCX": _PILLOW_ADVICE,
    "an SGI picture": _PILLOW_ADVICE,
    "a DirectDraw surface (DDS)": _PILLOW_ADVICE,
    _HEIC: "ImageMagick, or Pillow with pillow-heif, saves it as PNG",
    "a JPEG XL": "ImageMagick saves it as PNG",
    "a JPEG XR": "ImageMagick saves it as PNG",
    "a GIMP file": "GIMP exports it as PNG",
    "an SVG": "Inkscape exports it as PNG",
    "a PDF": "pdftoppm -png makes a picture of each page",
    "a video": "ffmpeg -i makes PNGs of its frames",
    _RAW: "rawpy develops it, and Pillow saves that as PNG",
    _DICOM: "pydicom reads its pixels, and Pillow saves them as PNG",
    _NIFTI: "nibabel reads its slices, and Pillow saves them as PNG",
    "an NRRD volume": "SimpleITK reads its slices",
    "a MetaImage volume": "SimpleITK reads its slices",
    "an MRC volume": "mrcfile reads its slices",
    "an HDF5 file": "h5py reads its arrays, which fine_tune takes as data",
    "a NetCDF file": "xarray reads its arrays, which fine_tune takes as data",
    "a FITS file": "astropy reads its pixels, and Pillow saves them as PNG",
    "a MATLAB file": "scipy reads its arrays, which fine_tune takes as data",
    "a NumPy array": "numpy.load reads it, and fine_tune takes it as data",
    _EXR: "OpenCV reads its pixels, and Pillow saves them as PNG",
    "a ZIP archive": "unzip unpacks it",
    "a gzip archive": "gunzip unpacks it",
}
"""By kind: the way to pictures that are decoded."""

_PNG_TYPES_WITH_ALPHA = (4, 6)  # Gray with alpha, RGB with alpha.
_BITFIELDS = 3  # BMP compression: masks say where each channel is.


def detect_kind(head: bytes) -> str:
    """Returns the kind of a file, found from its first bytes.

    Args:
        head: The first `HEAD_BYTES` bytes of the file, fewer if it is short.

    Returns:
        One of `DECODABLE`, or another kind in words: "a TIFF", "HTML", "plain
        text", "no known kind of file".
    """
    for kind, parts in picture_signatures.SIGNATURES:
        if all(head.startswith(part, begin) for begin, part in parts):
            return kind
    for pattern, kind in _SIGNATURE_PATTERNS:
        if re.match(pattern, head, re.DOTALL):
            is_nifti = (
                kind == "a gzip archive"
                and _detect_gzip_content(head) == _NIFTI
            )
            return _NIFTI if is_nifti else kind
    text = head.removeprefix(b"\xef\xbb\xbf")
    for pattern, kind in _TEXT_PATTERNS:
        if re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            return kind
    return "plain text" if _is_text(text) else "no known kind of file"


def describe_kind(kind: str) -> str:
    """Returns a kind from `detect_kind`, with advice on conversion if any."""
    way = CONVERSIONS.get(kind)
    return f"{kind} ({way})" if way else kind


def has_sixteen_bits(contents: bytes) -> bool:
    """Tells if the bytes of a file are a PNG of 16 bits a sample."""
    # IHDR comes first: bit depth is byte 24, color type byte 25 of the file.
    return (
        contents[:8] == picture_signatures.FIRST_BYTES["PNG"]
        and contents[24:25] == b"\x10"
    )


def has_alpha(contents: bytes) -> bool:
    """Tells if a file declares transparent pixels, whether it has any or not.

    Args:
        contents: Bytes of a picture file; False for a kind not decoded.
    """
    kind = detect_kind(contents[:HEAD_BYTES])
    if kind == "PNG":
        color_type = contents[25] if len(contents) > 25 else 0
        return color_type in _PNG_TYPES_WITH_ALPHA or b"tRNS" in contents
    if kind == "WebP":
        is_container = contents[12:16] == b"VP8X"
        # VP8X: its flags follow the chunk's header; VP8L: the signature and 14
        # bits each of width and height come before the alpha bit.
        place = 20 if is_container else 24
        flags = contents[place] if len(contents) > place else 0
        is_lossless = contents[12:16] == b"VP8L"
        return (is_container or is_lossless) and bool(flags & 0x10)
    if kind == "GIF":
        # A graphic control extension with flags set (GIF89a, section 23).
        return re.search(rb"\x21\xf9\x04[\x01-\xff]", contents) is not None
    if kind == "BMP":
        # Compression and the mask of the alpha channel.
        words = [
            int.from_bytes(contents[i : i + 4], "little") for i in (30, 66)
        ]
        return words == [_BITFIELDS, 0xFF000000]
    return False


def is_lossless_webp(contents: bytes) -> bool:
    """Tells if all pixels of a WebP file are compressed without loss.

    It must hold a VP8L chunk (lossless), and no VP8 chunk or animation.
    """
    # The RIFF header takes 12 bytes: "RIFF", length, "WEBP".
    position, found = 12, set()
    while position + 8 <= len(contents):
        name = contents[position : position + 4]
        length = int.from_bytes(contents[position + 4 : position + 8], "little")
        found.add(name)
        # Chunks are padded to even lengths.
        position += 8 + length + length % 2
    return b"VP8L" in found and not found & {b"VP8 ", b"ANMF"}


def describe_rare_jpeg(contents: bytes) -> str:
    """Returns in words the process of a JPEG that few programs decode.

    Args:
        contents: Bytes of a JPEG.

    Returns:
        "JPEG-LS", "lossless", "arithmetic coding", "12 bits" …; empty for
        baseline and progressive of 8 bits, and where it is not found.

    Source: ITU-T T.81, table B.1.
    """
    # Behind the start-of-image marker.
    position = 2
    while position + 9 <= len(contents) and contents[position] == 0xFF:
        marker = contents[position + 1]
        # Any number of fill bytes may come before a marker.
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xF7:
            return "JPEG-LS"
        # SOF markers; C4, C8 and CC are DHT, JPG and DAC.
        is_frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        # Frame header (B.2.2): marker, length of 2 bytes, sample precision.
        if is_frame:
            return _describe_process(marker, contents[position + 4])
        position += 2 + int.from_bytes(
            contents[position + 2 : position + 4], "big"
        )
    return ""


def _detect_gzip_content(head: bytes) -> str:
    """Names the kind of a file that gzip compressed, such as x.nii.gz."""
    try:
        # 31: a gzip header is expected, and a window of 32 kB (15 + 16).
        start = zlib.decompressobj(31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return ""
    return detect_kind(start) if not start.startswith(b"\x1f\x8b") else ""


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


def _describe_process(marker: int, bits: int) -> str:
    if marker in (0xC3, 0xC7, 0xCB, 0xCF):
        return "lossless"
    if marker >= 0xC9:
        return "arithmetic coding"
    if marker in (0xC5, 0xC6):
        return "hierarchical"
    return "" if bits == 8 else f"{bits} bits"
