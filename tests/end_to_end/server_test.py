"""What is served is what was evaluated."""

import numpy as np
import pytest

import tf_finetune

_SILENT = {"report": lambda text: None}


@pytest.fixture(scope="module")
def server(exported, talk):
    return talk(exported, max_batch_size=4)


@pytest.fixture
def paths(pictures, damage):
    """More pictures than a batch, one of which ends in the middle."""
    found = sorted((pictures / "red").glob("*.png"))[:6]
    return [*found[:2], damage(found[0]), *found[2:]]


@pytest.fixture
def expected(run, paths):
    """[pictures, classes], 0 where there is no answer."""
    said = tf_finetune.predict(run.workdir, paths[0].parent, **_SILENT)
    by_path = {each.path: dict(each.top_k) for each in said}
    return [
        [by_path.get(str(path), {}).get(name, 0) for name in run.class_names]
        for path in paths
    ]


def test_the_server_answers_what_predict_says(server, run, paths, expected):
    rows = server.alike(paths)
    got = [row["probabilities"] for row in rows]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    assert [row["classes"] for row in rows] == ["red"] * 2 + [""] + ["red"] * 4
    assert [bool(row["error"]) for row in rows] == [False] * 2 + [True] + [
        False
    ] * 4
    assert "damaged" in rows[2]["error"]
    server.check_what_lies_beside(run.class_names)


def test_classify_gives_every_class_and_its_score(server, run, paths, expected):
    rows = server.alike(paths, "--method=classify")
    scores = [[score for _, score in row] for row in rows]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    names = [tuple(name for name, _ in row) for row in rows]
    assert names.pop(2) == ("",) * 3
    assert set(names) == {run.class_names}


def test_a_method_that_the_model_has_not_is_told(server, paths):
    with pytest.raises(SystemExit, match="400: .*'regress' not found"):
        server.ask(paths[:1], "--method=regress", "--grpc=none")
