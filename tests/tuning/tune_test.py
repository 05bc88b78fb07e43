"""Studies: their trials, results, and what a second call does."""

import json
import signal
import time

import fake_trials
import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.tuning import tune
from tf_finetune.tuning import worker as workers


def _run(keywords, report, *, start=None, **ends):
    start = start or fake_trials.FakeStart(**ends)
    return fake_trials.run_study(start, report, **keywords), start


def test_trials_are_runs_of_their_own_settings(keywords, report):
    found, start = _run(keywords, report)
    settings = [each["settings"] for each in found.content["trials"]]
    assert settings[0] == {"learning_rate": "0.001", "trainable": "all"}
    assert len({json.dumps(each) for each in settings}) == 4
    assert [*start.trained] == [f"trial-{n:04d}" for n in range(4)]
    for each, config in zip(settings, start.trained.values(), strict=True):
        assert (
            options.to_text(config.training.learning_rate)
            == (each["learning_rate"])
        )
        assert config.model.trainable == (each["trainable"],)
        assert config.training.epochs == 4


def test_the_best_on_validation_wins_and_test_is_evaluated_for_it(
    keywords, report
):
    found, start = _run(keywords, report)
    values = [each["value"] for each in found.content["trials"]]
    assert values == [fake_trials.score(e) for e in start.trained.values()]
    assert found.winner == values.index(max(values)) != 0
    assert start.evaluated == ["trial-0000", found.workdir.name]
    test = found.content["test"]
    assert test["0"]["accuracy"] == values[0]
    assert test[str(found.winner)]["accuracy"] == max(values)
    assert found.content["metric"] == "accuracy"
    assert "baseline: accuracy 0.800" in found.content["summary"][-1]


def test_best_flags_repeat_the_winner_with_its_test_split(keywords, report):
    found, start = _run(keywords, report)
    again = options.from_flagfile(
        train_config.TrainConfig, str(found.best_flags)
    )
    trial = start.trained[found.workdir.name]
    changed = options.replace(
        again, workdir=trial.output.workdir, withhold_test=True
    )
    assert changed == trial
    assert not again.output.withhold_test
    assert again.output.workdir.endswith("study/best")


def test_the_page_loads_nothing(keywords, report, drawn):
    found, _ = _run(keywords, report)
    page = (found.folder / "study.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 4
    text = page.replace("data:image/png;base64,", "")
    assert "://" not in text and "<script" not in text
    assert "trial" in page and "(baseline)" in page
    assert json.loads((found.folder / "study.json").read_text()) == (
        found.content
    )
    assert sum(found.content["importance"].values()) == pytest.approx(
        1, abs=1e-3
    )


def test_a_second_call_runs_nothing_and_more_trials_go_on(keywords, report):
    first, _ = _run(keywords, report)
    again, start = _run(keywords, report)
    assert again == first and not start.trained and not start.evaluated
    more, start = _run({**keywords, "trials": 6}, report)
    assert [*start.trained] == ["trial-0004", "trial-0005"]
    assert len(more.content["trials"]) == 6


def test_draws_do_not_depend_on_earlier_processes(keywords, report, tmp_path):
    whole, _ = _run(keywords, report)
    other = {**keywords, "study": str(tmp_path / "other")}
    _run({**other, "trials": 2}, report)
    parts, _ = _run(other, report)
    for one, two in zip(
        whole.content["trials"], parts.content["trials"], strict=True
    ):
        assert one["settings"] == two["settings"]


def test_a_study_of_other_settings_is_refused(keywords, report):
    _run({**keywords, "trials": 2}, report)
    with pytest.raises(errors.UsageError, match="--epochs=4, now 5"):
        _run({**keywords, "epochs": 5}, report)
    with pytest.raises(errors.UsageError, match="--search=.*, now trainable"):
        _run({**keywords, "search": "trainable:top|all"}, report)
    _run({**keywords, "trials": 2, "cache_dir": "elsewhere"}, report)


def test_a_crash_costs_one_trial(keywords, report):
    found, _ = _run(keywords, report, trial_0001=-signal.SIGKILL, trial_0002=1)
    outcomes = [each["outcome"] for each in found.content["trials"]]
    assert outcomes == ["finished", "crashed", "crashed", "finished"]
    reasons = [each["reason"] for each in found.content["trials"]]
    assert "ended by SIGKILL, as the system does when memory" in reasons[1]
    assert reasons[2].startswith("it went wrong.")
    assert "1 crashed" not in found.content["summary"][0]


def test_settings_that_are_refused_are_told(keywords, report):
    search = "trainable:top|all,batch_size:16|999999999"
    found, start = _run({**keywords, "search": search, "trials": 6}, report)
    refused = [
        each for each in found.content["trials"] if each["outcome"] == "refused"
    ]
    assert refused and all("cannot fit" in e["reason"] for e in refused)
    # No process was started for them.
    assert len(start.trained) <= 6 - len(refused)


def test_a_base_run_that_is_refused_is_no_trial(keywords, report):
    with pytest.raises(errors.DataError, match="refused: it went wrong"):
        _run(keywords, report, trial_0000=2)
    found, _ = _run(keywords, report)
    assert found.content["trials"][0]["outcome"] == "finished"


def test_a_study_in_which_all_fails_is_given_up(keywords, report):
    ends = {f"trial_000{number}": 1 for number in range(4)}
    with pytest.raises(errors.RunError, match="All 3 trials have failed"):
        _run(keywords, report, **ends)


def test_equal_settings_are_run_once(keywords, report):
    changes = {"search": "trainable:top|all", "trials": 5}
    found, start = _run({**keywords, **changes}, report)
    assert len(start.trained) == 2
    outcomes = [each["outcome"] for each in found.content["trials"]]
    assert outcomes == ["finished", "finished"] + ["copied"] * 3


def test_a_trial_below_the_median_is_pruned(keywords, report):
    changes = {"trials": 7}
    found, _ = _run({**keywords, **changes}, report, trial_0006="stays")
    last = found.content["trials"][-1]
    assert last["outcome"] == "pruned" and last["epochs"] == 3
    assert "1 pruned" in found.content["summary"][0]


def test_a_spent_budget_leaves_a_trial_to_be_resumed(
    keywords, report, monkeypatch
):
    start = fake_trials.FakeStart(trial_0001="stays")
    with monkeypatch.context() as patch:
        late = property(lambda worker: "trial-0001" in start.trained)
        patch.setattr(workers.Worker, "is_late", late)
        unpruned = {**keywords, "pruner": "none", "time_budget": "2h"}
        found, _ = _run(unpruned, report, start=start)
    outcomes = [each["outcome"] for each in found.content["trials"]]
    assert outcomes == ["finished", "unfinished"]
    found, start = _run(keywords, report)
    assert [*start.trained][0] == "trial-0001"
    assert {e["outcome"] for e in found.content["trials"]} == {"finished"}


def test_a_trial_that_always_ends_its_worker_is_given_up(keywords, report):
    class Killed(Exception):
        pass

    def kill(config):
        raise Killed

    for _ in range(4):
        with pytest.raises(Killed):
            _run(keywords, report, trial_0001=kill)
    found, start = _run(keywords, report, trial_0001=kill)
    assert found.content["trials"][1]["outcome"] == "crashed"
    assert "begun 4 times" in found.content["trials"][1]["reason"]


def test_three_processes_share_a_study(tmp_path, report):
    workers = [fake_trials.start_worker(tmp_path, 0.05, 9) for _ in range(3)]
    said = [each.communicate(timeout=240)[0] for each in workers]
    assert [each.returncode for each in workers] == [0, 0, 0], said
    keywords = fake_trials.make_keywords(tmp_path, trials=9)
    found, start = _run(keywords, report)
    assert not start.trained
    trials = found.content["trials"]
    assert [each["number"] for each in trials] == [*range(9)]
    assert {each["outcome"] for each in trials} == {"finished"}
    assert len({json.dumps(each["settings"]) for each in trials}) == 9


def test_the_trial_of_a_killed_worker_is_finished_by_another(tmp_path, report):
    worker = fake_trials.start_worker(tmp_path, 60, 3)
    flags = tmp_path / "study" / "trial-0000.flags"
    end = time.monotonic() + 120
    while not flags.exists():
        assert worker.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    worker.kill()
    worker.communicate()
    keywords = fake_trials.make_keywords(tmp_path, trials=3)
    found, start = _run(keywords, report)
    assert [*start.trained] == ["trial-0000", "trial-0001", "trial-0002"]
    assert {e["outcome"] for e in found.content["trials"]} == {"finished"}


def test_the_metric_decides(keywords, report):
    found, _ = _run({**keywords, "metric": "log_loss"}, report)
    assert found.content["direction"] == "minimize"
    values = [each["value"] for each in found.content["trials"]]
    assert found.winner == values.index(min(values))


def test_python_takes_the_data_first(keywords, monkeypatch, report):
    start = fake_trials.FakeStart()
    monkeypatch.setattr(tune.tune_run, "__kwdefaults__", {"start": start})
    data = keywords.pop("data")
    found = tune.tune(data, report=report, **{**keywords, "trials": 2})
    assert len(found.content["trials"]) == 2
