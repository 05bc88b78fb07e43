"""Any text is either a listing or a sentence; what was written is read."""

import csv
import io
import os
import pathlib
import tempfile

import hypothesis
from hypothesis import strategies as st

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names
from tf_finetune.data.sources import csv_file
from tf_finetune.tasks.classification import labels as classes


def _list(content: bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "data" / "labels.csv"
        path.parent.mkdir()  # What lies around it is looked at, too.
        path.write_bytes(content)
        (path.parent / "there").touch()
        options = data_options.DataOptions(
            data=str(path), data_format="csv", missing_label="keep"
        )
        return csv_file.SOURCE.list_examples(
            options, classes.LABELS, pathlib.Path(folder)
        )


_PIECES = st.sampled_from(
    ["image", "label", "split", "group", ",", ";", "\t", "\n", "\r\n", "\r",
     '"', '""', " ", "\ufeff", "\0", "a.jpg", "train", "nan", "-1", "1e999"]
)  # fmt: skip
_TEXTS = st.lists(_PIECES | st.text(max_size=5), max_size=40).map("".join)


@hypothesis.given(
    content=st.binary(max_size=200)
    | _TEXTS.map(lambda s: s.encode("utf-8", errors="surrogatepass"))
    | _TEXTS.map(lambda s: b"image,label\n" + s.encode("utf-8", "replace"))
    | _TEXTS.map(lambda s: s.encode("utf-16", errors="surrogatepass"))
)
@hypothesis.settings(max_examples=100)
def test_any_bytes_are_a_listing_or_a_data_error(content):
    try:
        listing = _list(content)
        class_names.check(
            class_names.sort_names(e.label for e in listing.examples)
        )
    except errors.DataError as error:
        assert str(error)
    else:
        assert listing.examples or listing.dropped


_WORDS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0/"),
    min_size=1,
    max_size=12,
)


@hypothesis.given(
    rows=st.dictionaries(_WORDS, _WORDS, min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
@hypothesis.settings(max_examples=100)
def test_what_was_written_is_read_back(rows, delimiter, encoding, end):
    # Blanks around a label, and at the start of a cell, do not count.
    rows = {"p" + path: label.strip() or "x" for path, label in rows.items()}
    text = io.StringIO(newline="")
    writer = csv.writer(
        text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL
    )
    writer.writerow(["image", "label", "more"])
    writer.writerows([path, "x", label] for path, label in rows.items())
    writer.writerow(["there", "x", ""])
    listing = _list(text.getvalue().encode(encoding))
    # No such file is there: every other row is dropped, by its name.
    assert [os.path.basename(each.path) for each in listing.dropped] == [*rows]
    assert {each.reason for each in listing.dropped} == {"file not found"}


@hypothesis.given(labels=st.lists(_WORDS, min_size=1, max_size=6))
def test_labels_are_read_back(labels):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "labels.csv"
        labels = [label.strip() or "x" for label in labels]
        for number, _ in enumerate(labels):
            (path.parent / str(number)).touch()
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["label", "image"])
            writer.writerows([[x, n] for n, x in enumerate(labels)])
        options = data_options.DataOptions(data=str(path), missing_label="keep")
        listing = csv_file.SOURCE.list_examples(
            options, classes.LABELS, path.parent
        )
    assert [each.label for each in listing.examples] == labels
