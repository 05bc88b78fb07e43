"""How masks are listed, checked and described."""

import json
import pathlib

import numpy as np
import pytest
import sample_pictures
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, scan
from tf_finetune.tasks.segmentation import labels

NAMES = '["sky", "road", "void"]'


def scene(folder: pathlib.Path, name: str, values, suffix: str = ".jpg"):
    """Writes a picture and its mask."""
    values = np.asarray(values, "uint8")
    for each in ("images", "masks"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(name.encode(), "big") % 2**32
    pixels = np.random.default_rng(seed).integers(
        0, 256, [*values.shape, 3], "uint8"
    )
    Image.fromarray(pixels).save(folder / "images" / f"{name}{suffix}")
    Image.fromarray(values).save(folder / "masks" / f"{name}.png")


def data(root: pathlib.Path, *, count: int = 12) -> pathlib.Path:
    for number in range(count):
        scene(root, str(number), [[0, 1, 2], [0, 1, number % 2]])
    (root / "classes.json").write_text(NAMES)
    return root


def listed(root: pathlib.Path, **options) -> scan.InspectedPictures:
    return scan.list_and_inspect(
        data_options.DataOptions(data=str(root), **options),
        labels.LABELS,
        cache_dir=root.parent / "cache",
    )


def test_pictures_come_with_prepared_masks(tmp_path):
    found = listed(data(tmp_path / "data"), ignore_label="void")
    assert found.class_names == ("sky", "road")
    label = found.pictures[0].label
    assert label.pixels[2] == 1
    assert sum(label.pixels) == 6
    assert pathlib.Path(label.indices).is_file()
    assert found.pictures[0].strata == ("sky", "road")


def test_an_ignored_value_and_an_ignored_name_are_the_same(tmp_path):
    root = data(tmp_path / "data")
    by_name = listed(root, ignore_label="void")
    by_value = listed(root, ignore_label="2")
    assert by_name.pictures == by_value.pictures
    assert by_name.class_names == by_value.class_names


def test_masks_are_described_by_split_and_class(tmp_path):
    root = data(tmp_path / "data")
    found = listed(root, ignore_label="void")
    options = data_options.DataOptions(data=str(root), ignore_label="void")
    divided = scan.clean_and_split(found, {}, options, seed=0)
    described = labels.LABELS.describe(divided)["masks"]
    assert set(described) == {"train", "validation", "test"}
    total = {
        name: sum(described[s]["pixels"][name] for s in described)
        for name in ("sky", "road")
    }
    assert total == {"sky": 12 * 2 + 6, "road": 12 * 2 + 6}
    assert sum(described[s]["ignored_pixels"] for s in described) == 12
    train = described["train"]
    assert train["pictures"]["sky"] * 5 == train["pixels_there"]["sky"]


def test_the_text_of_a_mask_tells_how_it_is_read(tmp_path):
    root = data(tmp_path / "data")
    texts = [
        labels.LABELS.text(listed(root, **options).pictures[0].label)
        for options in ({}, {"ignore_label": "void"})
    ]
    assert texts[0] != texts[1]


def test_a_table_names_masks_in_the_column_mask(tmp_path):
    root = data(tmp_path / "data")
    lines = [f"images/{n}.jpg,masks/{n}.png" for n in range(12)]
    (root / "table.csv").write_text("\n".join(["image,mask", *lines]))
    found = listed(root / "table.csv")
    assert found.class_names == ("sky", "road", "void")
    assert len(found.pictures) == 12
    (root / "own.csv").write_text("\n".join(["image,truth", *lines]))
    assert len(listed(root / "own.csv", label_column=("truth",)).pictures) == 12
    with pytest.raises(errors.DataError, match="no column 'mask'"):
        listed(root / "own.csv")


def test_colors_are_read_by_a_color_map(tmp_path):
    root = data(tmp_path / "data")
    colors = np.array([[0, 0, 255], [90, 90, 90], [0, 0, 0]], "uint8")
    for path in (root / "masks").iterdir():
        values = np.array(Image.open(path))
        Image.fromarray(colors[values]).save(path)
    with pytest.raises(errors.DataError, match="--color_map"):
        listed(root)
    table = tmp_path / "colors.csv"
    table.write_text("name,r,g,b\nsky,0,0,255\nroad,90,90,90\n")
    with pytest.raises(errors.DataError, match=r"\(0, 0, 0\) in 1 pixels"):
        listed(root, color_map=str(table))
    with table.open("a") as file:
        file.write("void,0,0,0\n")
    found = listed(root, color_map=str(table), ignore_label="void")
    assert found.class_names == ("sky", "road")
    assert found.pictures[0].label.pixels[2] == 1


def test_black_and_white_masks_are_two_classes(tmp_path):
    for number in range(8):
        scene(tmp_path / "data", str(number), [[0, 255], [255, 0]], ".png")
    found = listed(tmp_path / "data")
    assert found.class_names == ("background", "foreground")
    assert found.pictures[0].label.pixels == (2, 2, 0)


def test_a_single_class_is_nothing_to_learn(tmp_path):
    for number in range(8):
        scene(tmp_path / "data", str(number), [[0, 0]])
    with pytest.raises(errors.DataError, match="at least two classes"):
        listed(tmp_path / "data")


def test_a_class_that_is_only_held_out_is_warned_of(caplog):
    def one(split, *pixels):
        return sample_pictures.make_picture(
            split,
            examples.Mask(path="", pixels=(*pixels, 0), names=("sky", "road")),
            split,
            split,
        )

    labels.LABELS.check_divided([one("train", 5, 0), one("test", 1, 4)])
    assert "test split" in caplog.text
    assert "IoU of 0: road" in caplog.text


@pytest.mark.parametrize("count", [1, 2])
def test_what_few_pictures_show_is_trained_on(tmp_path, count):
    root = tmp_path / "data"
    for number in range(20):
        scene(root, str(number), [[0, 1, 2 if number < count else 0]])
    (root / "classes.json").write_text('["sky", "road", "boat"]')
    found = listed(root)
    options = data_options.DataOptions(data=str(root))
    for seed in range(5):
        data = scan.clean_and_split(found, {}, options, seed=seed)
        assert [len(data.split(each)) for each in data.splits] == [14, 3, 3]
        boats = [p for p in data.pictures if p.label.pixels[2]]
        assert len(boats) == count
        assert {each.split for each in boats} == {"train"}


def test_rare_classes_everywhere_leave_pictures_to_hold_out(tmp_path):
    root = tmp_path / "data"
    for number in range(12):
        scene(root, str(number), [[0, 1, 2 + number // 2]])
    options = data_options.DataOptions(data=str(root))
    data = scan.clean_and_split(listed(root), {}, options, seed=0)
    assert [len(data.split(each)) for each in data.splits] == [8, 2, 2]
    train = {
        k for p in data.split("train") for k in range(8) if p.label.pixels[k]
    }
    assert train == set(range(8))


def test_too_few_pictures_for_the_splits_are_an_error(tmp_path):
    for number in range(2):
        scene(tmp_path / "data", str(number), [[0, 1]])
    options = data_options.DataOptions(data=str(tmp_path / "data"))
    with pytest.raises(errors.DataError, match="train gets none"):
        scan.clean_and_split(listed(tmp_path / "data"), {}, options, seed=0)


def test_the_mask_of_a_damaged_picture_names_no_class(tmp_path):
    root = tmp_path / "data"
    for number in range(12):
        scene(root, str(number), [[0, 1, 2]])
    scene(root, "bad", [[0, 1, 3]])
    (root / "images" / "bad.jpg").write_bytes(b"no picture")
    found = listed(root)
    assert found.class_names == ("class_0", "class_1", "class_2")
    assert {p.label.names for p in found.pictures} == {found.class_names}
    options = data_options.DataOptions(data=str(root))
    data = scan.clean_and_split(found, {}, options, seed=0)
    assert set(labels.LABELS.describe(data)["masks"]["train"]["pixels"]) == set(
        found.class_names
    )


def of_run(root: pathlib.Path, **options) -> labels.Masks:
    """Returns labels as a run on `root` leaves them in its data.json."""
    found = listed(root, **options)
    options = data_options.DataOptions(data=str(root), **options)
    data = scan.clean_and_split(found, {}, options, seed=0)
    described = json.loads(json.dumps(labels.LABELS.describe(data)))
    return labels.LABELS.restore(
        {"class_names": list(data.class_names), **described}
    )


def elsewhere(root: pathlib.Path, learned: labels.Masks, **options):
    return scan.list_and_inspect(
        data_options.DataOptions(data=str(root), **options),
        learned,
        cache_dir=root.parent / "cache",
        training=False,
    )


@pytest.mark.parametrize("named", [False, True])
def test_other_masks_may_show_some_of_the_classes(tmp_path, named):
    root = data(tmp_path / "data")
    if not named:
        (root / "classes.json").unlink()
    learned = of_run(root, ignore_label="2")
    names = ("sky", "road") if named else ("background", "foreground")
    scene(tmp_path / "other", "a", [[0, 0, 2]])
    found = elsewhere(tmp_path / "other", learned, ignore_label="2")
    assert found.class_names == names
    assert found.pictures[0].label.pixels == (2, 0, 1)
    assert found.pictures[0].label.names == names


def test_other_masks_of_unnamed_classes_keep_the_names_of_the_run(tmp_path):
    root = data(tmp_path / "data")
    (root / "classes.json").unlink()
    learned = of_run(root)
    scene(tmp_path / "other", "a", [[0, 1, 1]])
    found = elsewhere(tmp_path / "other", learned)
    assert found.class_names == ("class_0", "class_1", "class_2")
    assert found.pictures[0].label.pixels == (1, 2, 0, 0)
    scene(tmp_path / "strange", "a", [[0, 1, 7]])
    with pytest.raises(errors.DataError, match="7 in 1 pixels"):
        elsewhere(tmp_path / "strange", learned)
    # Names beside the other masks say what those mean.
    (tmp_path / "other" / "classes.json").write_text('["class_1", "class_0"]')
    found = elsewhere(tmp_path / "other", learned)
    assert found.pictures[0].label.names == ("class_1", "class_0")


def test_foreground_may_be_1_in_one_place_and_255_in_another(tmp_path):
    for number in range(8):
        scene(tmp_path / "data", str(number), [[0, 255], [255, 0]])
    learned = of_run(tmp_path / "data")
    scene(tmp_path / "other", "a", [[0, 1, 1]])
    found = elsewhere(tmp_path / "other", learned)
    assert found.pictures[0].label.pixels == (1, 2, 0)


def test_other_colored_masks_are_read_by_the_colors_of_the_run(tmp_path):
    colors = np.array([[0, 0, 255], [90, 90, 90], [0, 0, 0]], "uint8")
    table = tmp_path / "colors.csv"
    table.write_text("name,r,g,b\nsky,0,0,255\nroad,90,90,90\nvoid,0,0,0\n")
    options = {"color_map": str(table), "ignore_label": "void"}
    scene(tmp_path / "other", "a", [[1, 1, 2]])
    for root in (data(tmp_path / "data"), tmp_path / "other"):
        for path in (root / "masks").iterdir():
            Image.fromarray(colors[np.array(Image.open(path))]).save(path)
    learned = of_run(tmp_path / "data", **options)
    table.unlink()
    found = elsewhere(tmp_path / "other", learned, **options)
    assert found.class_names == ("sky", "road")
    assert found.pictures[0].label.pixels == (0, 2, 1)


def test_one_column_of_masks_is_all_there_can_be():
    options = data_options.DataOptions(label_column=("a", "b"))
    with pytest.raises(errors.UsageError, match="one column of masks"):
        labels.LABELS.required_columns(options)


def _painted(root: pathlib.Path, *values: int, count: int = 12) -> pathlib.Path:
    """Writes pictures whose masks have a patch of each value."""
    random = np.random.default_rng(0)
    for number in range(count):
        mask = np.full((12, 12), values[0])
        for k, value in enumerate(values[1:]):
            mask[2 + 4 * k : 5 + 4 * k, 2 + number % 5 : 9] = value
        for each in ("images", "masks"):
            (root / each).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, [12, 12, 3], "uint8")
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        kind = "uint8" if max(values) < 256 else "uint16"
        Image.fromarray(mask.astype(kind)).save(
            root / "masks" / f"{number}.png"
        )
    return root


@pytest.mark.parametrize(
    "values", [(0, 38, 75), (0, 128, 255), (0, 1000, 65535)]
)
def test_values_with_gaps_are_classes_and_told(tmp_path, caplog, values):
    caplog.set_level("INFO")
    found = listed(_painted(tmp_path / "data", *values))
    assert found.class_names == tuple(f"class_{value}" for value in values)
    table = ", ".join(f"{value} class_{value}" for value in values)
    assert any(
        f"The values in the masks stand for these classes: {table}."
        in r.getMessage()
        for r in caplog.records
    )


@pytest.mark.parametrize("legend", [NAMES, '{"0":"a","38":"b","255":"c"}'])
def test_a_run_reads_other_masks_as_it_read_its_own(tmp_path, legend):
    root = _painted(tmp_path / "data", 0, 38, 255)
    (root / "classes.json").write_text(legend)
    first = listed(root)
    assert len(first.class_names) == 3
    options = data_options.DataOptions(data=str(root))
    data_ = scan.clean_and_split(first, {}, options, seed=0)
    described = {
        "class_names": list(first.class_names),
        **labels.LABELS.describe(data_),
    }
    described = json.loads(json.dumps(described))
    # The other masks lack a value; beside them lies the same legend or none.
    other = _painted(tmp_path / "other", 0, 255, count=3)
    for with_legend in (False, True):
        if with_legend:
            (other / "classes.json").write_text(legend)
        found = scan.list_and_inspect(
            data_options.DataOptions(data=str(other)),
            labels.LABELS.restore(described),
            cache_dir=tmp_path / "cache",
            training=False,
        )
        assert found.class_names == first.class_names
        pixels = np.array([p.label.pixels for p in found.pictures])
        assert (pixels[:, [1, 3]] == 0).all()
        assert (pixels[:, [0, 2]] > 0).all()


def test_masks_of_white_and_small_values_are_asked_about(tmp_path):
    root = _painted(tmp_path / "data", 0, 1, 255)
    with pytest.raises(errors.DataError) as raised:
        listed(root)
    assert "--ignore_label=255" in str(raised.value)
    assert "names 3 classes" in str(raised.value)
    assert len(listed(root, ignore_label="255").class_names) == 2
    (root / "classes.json").write_text('["a", "b", "c"]')
    assert listed(root).class_names == ("a", "b", "c")


def test_the_advice_about_unnamed_values_can_be_followed(tmp_path):
    root = _painted(tmp_path / "data", 0, 50, 60, count=12)
    (root / "classes.json").write_text('["a", "b"]')
    with pytest.raises(errors.DataError, match="not a class") as raised:
        listed(root)
    text = str(raised.value)
    assert "3 values (0, 50, 60): name as many classes" in text
    assert listed(root, ignore_label="60").class_names == ("a", "b")
    (root / "classes.json").write_text('["a", "b", "c"]')
    assert listed(root).class_names == ("a", "b", "c")
    (root / "classes.json").write_text('{"0": "a", "50": "b", "60": "c"}')
    assert listed(root).class_names == ("a", "b", "c")


def test_smoothed_masks_are_refused_with_what_to_do(tmp_path):
    root = _painted(tmp_path / "data", 0, 100)
    for path in (root / "masks").iterdir():
        image = Image.open(path)
        half = image.resize((6, 6), Image.Resampling.BILINEAR)
        half.resize(image.size, Image.Resampling.BILINEAR).save(path)
    with pytest.raises(errors.DataError, match="were the masks smoothed"):
        listed(root)
    for path in (root / "masks").iterdir():
        image = Image.open(path)
        image.point(lambda value: 100 * (value > 50)).save(path)
    assert listed(root).class_names == ("background", "foreground")


def test_outputs_that_are_in_no_mask_are_named(tmp_path, caplog):
    root = _painted(tmp_path / "data", 1, 2, 3)
    found = listed(root)
    assert found.class_names == ("class_0", "class_1", "class_2", "class_3")
    options = data_options.DataOptions(data=str(root))
    scan.clean_and_split(found, {}, options, seed=0)
    assert any(
        "1 of 4 classes is in no mask" in r.getMessage()
        and r.getMessage().endswith(": class_0.")
        for r in caplog.records
    )


def test_masks_in_a_table_may_be_named_as_pictures_may(tmp_path):
    root = _painted(tmp_path / "data", 0, 1)
    lines = [f"C:\\x\\images\\{n}.png,masks\\{n} " for n in range(12)]
    (root / "t.csv").write_text("\n".join(["Image,Mask", *lines]))
    assert len(listed(root / "t.csv").pictures) == 12


def test_masks_that_a_table_names_and_that_are_not_there_are_told(tmp_path):
    root = _painted(tmp_path / "data", 0, 1)
    lines = [f"images/{n}.png,{n}.png" for n in range(12)]
    (root / "t.csv").write_text("\n".join(["image,mask", *lines]))
    with pytest.raises(
        errors.DataError, match="12 of the 12 files.*'mask'"
    ) as e:
        listed(root / "t.csv")
    text = str(e.value)
    assert "--image_root" not in text
    assert "masks/0.png" in text


def test_one_class_in_two_ways_is_asked_about(tmp_path):
    def write(top, white):
        for number in range(12):
            values = np.zeros((8, 8), "uint8")
            values[:4] = white if number % 2 else 1
            scene(tmp_path / top, str(number), values)
        return tmp_path / top

    with pytest.raises(errors.DataError) as raised:
        listed(write("mixed", 255))
    text = str(raised.value)
    assert "6 of 12 masks hold 1 and 6 hold 255, and none holds both" in text
    # Each advice leads somewhere.
    assert listed(write("same", 1)).class_names == ("background", "foreground")
    listed(tmp_path / "mixed", ignore_label="255")
    (tmp_path / "mixed/classes.json").write_text('["sky", "road", "car"]')
    found = listed(tmp_path / "mixed")
    assert found.class_names == ("sky", "road", "car")
