"""Pictures in one folder per class, optionally under one folder per split."""

import os
import pathlib

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples, label_protocol
from tf_finetune.data.folders import (
    class_folders,
    folder_layout,
    folder_tree,
    folder_words,
)

SPLIT_WORDS = {
    word: possible[0]
    for word, possible in folder_words.SPLITS.items()
    if len(possible) == 1 and word != folder_words.TRAIN_AND_VALIDATION
}
"""Split by lower-case word for it, such as "val", in tables and TFDS."""

_Found = list[examples.Example | examples.DroppedFile]


class Folder:
    """Data source for pictures in one folder per class.

    The class folders may lie in train/, validation/ and test/.
    """

    def recognizes(self, data: str) -> bool:
        """Tells if `data` is an existing folder."""
        return pathlib.Path(data).expanduser().is_dir()

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: label_protocol.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists every file in every class folder; hidden files are dropped.

        Files are not opened: some may turn out not to be pictures.

        Args:
            options: Path of the folder; `class_level` says how deep the class
                folders lie.
            labels: Not used: a label is the name of a class folder.
            cache_dir: The cache, which is left out if it lies in the folder.

        Returns:
            The examples, sorted by path within a class, the dropped files, and
            all class names, those of empty folders included.

        Raises:
            DataError: The path is not a folder, a folder cannot be read, there
                is no class folder, or folders are not classes (such as masks).
        """
        path = pathlib.Path(options.data).expanduser()
        if not path.is_dir():
            raise errors.DataError(f"--data={options.data} is not a folder.")
        root = folder_tree.read_tree(str(path), besides=str(cache_dir))
        # Told first: an error may be due to what is left out.
        folder_tree.warn_of_ignored(root)
        found = class_folders.find_class_folders(
            root, level=options.class_level
        )
        for sentence in found.notices:
            logging.warning("%s", sentence)
        folder_layout.warn_of_unused(found.unused_folders, root)
        return _make_listing(root, found)


SOURCE = Folder()


def _make_listing(
    root: folder_tree.Folder, found: folder_layout.Layout
) -> examples.Listing:
    """Lists every file of a folder whose classes are known."""
    everything: _Found = []
    aside = {each.path for each in found.unused_folders}
    for folder in found.outer_folders:
        everything += _drop_outside_files(folder)
    for place in found.class_folders:
        everything += _list_class_files(place, aside)
    everything += folder_layout.list_dropped(found.unused_folders)
    everything += folder_tree.list_dropped(root)
    return examples.Listing(
        examples=tuple(
            each for each in everything if isinstance(each, examples.Example)
        ),
        dropped=tuple(
            each
            for each in everything
            if isinstance(each, examples.DroppedFile)
        ),
        # With empty class folders, which are also reported as dropped.
        class_names=class_names.sort_names(
            {place.label for place in found.class_folders}
        ),
    )


def _drop_outside_files(folder: folder_tree.Folder) -> _Found:
    """Drops the files beside the class or split folders, sorted by path."""
    found = list(folder.dropped)
    for name in folder.files:
        path = os.path.join(folder.path, name)
        reason = "lies outside any class folder"
        found.append(examples.DroppedFile(path=path, reason=reason))
    return sorted(found, key=lambda each: each.path)


def _list_class_files(
    place: folder_layout.ClassFolder, aside: set[str]
) -> _Found:
    """Returns everything in a class folder, sorted by path.

    Args:
        place: The folder, its class and its split.
        aside: Paths of folders in it that are not used.
    """
    found: _Found = []
    pending = [place.folder]
    while pending:
        folder = pending.pop()
        found += folder.dropped
        if reason := _explain_empty(folder, place):
            found.append(examples.DroppedFile(path=folder.path, reason=reason))
        for name in folder.files:
            example = examples.Example(
                path=os.path.join(folder.path, name),
                label=place.label,
                split=place.split,
            )
            found.append(example)
        pending += [each for each in folder.folders if each.path not in aside]
    # The order of files decides splits and batches; it must not depend on the
    # file system.
    found.sort(key=lambda each: each.path)
    if not any(isinstance(each, examples.Example) for each in found):
        reason = "a class folder without pictures"
        path = place.folder.path
        found.append(examples.DroppedFile(path=path, reason=reason))
    return found


def _explain_empty(
    folder: folder_tree.Folder, place: folder_layout.ClassFolder
) -> str | None:
    """Explains why a folder inside a class folder contributes no file."""
    if folder is place.folder:
        return None
    if folder.problem:
        return f"a folder that cannot be read: {folder.problem}"
    return "an empty folder" if folder.is_empty else None
