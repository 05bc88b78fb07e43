"""Folders without data (thumbnails, trash, workdirs), by name or content."""

import dataclasses
import os
from collections.abc import Collection

from tf_finetune.data.images import file_kinds

_THUMBNAILS = "thumbnails"
_DELETED = "deleted files"
_SYSTEM = "files of the system"

_CONTENT_BY_NAME = {
    "@eadir": _THUMBNAILS,
    "thumbs": _THUMBNAILS,
    "thumbnails": _THUMBNAILS,
    "thumbnail": _THUMBNAILS,
    "@thumb": _THUMBNAILS,
    "#recycle": _DELETED,
    "@recycle": _DELETED,
    "@recycle.bin": _DELETED,
    "$recycle.bin": _DELETED,
    "recycle.bin": _DELETED,
    "recycler": _DELETED,
    "@recently-snapshot": "a snapshot",
    "@snapshot": "a snapshot",
    "#snapshot": "a snapshot",
    "lost+found": "files found after a crash",
    "lost.dir": "files found after a crash",
    "found.000": "files found after a crash",
    "system volume information": _SYSTEM,
    "msocache": _SYSTEM,
    "__macosx": _SYSTEM,
    "@tmp": _SYSTEM,
    "#tmp": _SYSTEM,
    "__pycache__": "compiled Python",
    "node_modules": "packages of JavaScript",
}
"""Content by the lower-case names that NAS, systems and viewers use."""

# Files that mark a workdir of this package, and its subfolders.
_RUN_FILES = ("run.json", "run.flags")
_RUN_FOLDERS = ("checkpoints", "export", "tensorboard")

_PICTURE_SUFFIXES_TEXT = (
    "jpg jpeg jpe jfif png apng gif bmp dib webp tif tiff heic heif avif jxl "
    "jp2 j2k jpx ico svg psd pgm ppm pbm pnm pam dcm dicom nii npy dng cr2 "
    "cr3 nef arw orf rw2 raw fits fit exr hdr tga pcx mha mhd nrrd"
)
PICTURE_SUFFIXES = frozenset(_PICTURE_SUFFIXES_TEXT.split())
"""Suffixes of files meant as pictures, whether they can be used or not."""

_OTHER_SUFFIXES_TEXT = (
    "txt csv tsv json jsonl xml html htm md rst py ipynb pdf yaml yml toml ini "
    "cfg db log sh zip tar rar 7z mat pkl h5 hdf5 keras pb tflite onnx npz "
    "flags mp4 avi mov"
)
_OTHER_SUFFIXES = frozenset(_OTHER_SUFFIXES_TEXT.split())
_MAX_PROBED = 3  # Files of no known suffix whose first bytes are looked at.


@dataclasses.dataclass(frozen=True, kw_only=True)
class IgnoredFolder:
    """A folder that is left out because it holds no data.

    Attributes:
        path: Path of the folder.
        content: Its content in words: "thumbnails", "a workdir (run.json)".
        pictures: Number of pictures in it and below.
    """

    path: str
    content: str
    pictures: int


def describe_by_name(name: str) -> str:
    """Describes a folder without data by its name, in any case.

    Returns:
        Its content in words, such as "thumbnails"; empty if it may be data.
    """
    lower = name.lower()
    # "_thumbs" is never a class, where "thumb" may be one.
    marked = lower.lstrip("_@#")
    if marked != lower and marked in ("thumb", "thumbs", "thumbnails"):
        return _THUMBNAILS
    return _CONTENT_BY_NAME.get(lower, "")


def describe_by_content(
    files: Collection[str], folders: Collection[str]
) -> str:
    """Describes a folder without data by the names of its entries.

    Args:
        files: Names of the files in it.
        folders: Names of the folders in it.

    Returns:
        Its content in words, if it is a workdir or an exported model; empty if
        it may be data.
    """
    for name in _RUN_FILES:
        if name in files:
            return f"the workdir of a run ({name})"
    if "saved_model.pb" in files and "variables" in folders:
        return "an exported model (saved_model.pb)"
    return ""


def describe_run_part(name: str, files: Collection[str]) -> str:
    """Describes a folder that belongs to the run in the folder around it.

    Args:
        name: Name of the folder, such as "checkpoints".
        files: Names of the files beside it.

    Returns:
        Its content in words; empty if it is not part of a run.
    """
    mark = next((each for each in _RUN_FILES if each in files), None)
    if mark is None or name not in _RUN_FOLDERS:
        return ""
    return f"part of the run beside it ({mark})"


def count_pictures(folder: str) -> int:
    """Counts the pictures in a folder and below; links are not followed.

    Args:
        folder: Path of the folder; 0 if it does not exist.
    """
    return sum(
        count_listed_pictures(names, where)
        for where, _, names in os.walk(folder)
    )


def may_be_picture(path: str) -> bool:
    """Tells if a path has no suffix of a text, a table or an archive.

    The file is not opened; unknown suffixes may be pictures.
    """
    return _read_suffix(path) not in _OTHER_SUFFIXES


def count_listed_pictures(names: Collection[str], folder: str) -> int:
    """Counts the files of one folder that are meant as pictures.

    Their suffixes decide; where no suffix is that of a picture, the first bytes
    of a few files of unknown suffix decide for all of these. Hidden files do
    not count.

    Args:
        names: Names of the files.
        folder: Path of the folder they lie in.
    """
    count = 0
    unknown = []
    for name in names:
        suffix = _read_suffix(name)
        # Hidden files are no data, e.g. ._1.jpg of macOS.
        if name.startswith("."):
            continue
        if suffix in PICTURE_SUFFIXES:
            count += 1
        elif suffix not in _OTHER_SUFFIXES:
            unknown.append(name)
    if count or not unknown:
        return count
    tried = (
        os.path.join(folder, name) for name in sorted(unknown)[:_MAX_PROBED]
    )
    return len(unknown) if any(_has_picture_signature(p) for p in tried) else 0


def _read_suffix(name: str) -> str:
    # A NIfTI volume has two suffixes; .gz alone would be an archive.
    if name.lower().endswith(".nii.gz"):
        return "nii"
    return os.path.splitext(name)[1][1:].lower()


def _has_picture_signature(path: str) -> bool:
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            head = file.read(file_kinds.HEAD_BYTES)
    except OSError:
        return False
    return file_kinds.detect_kind(head) in file_kinds.DECODABLE
