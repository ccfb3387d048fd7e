"""What a person sees of a sweep while it runs: counts, runs, what is left, the best so far."""

import io
import json
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from fitgap import store
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.sweep import live_view, progress, status, watching
from fitgap.sweep.watching import Reached, Snapshot, Training, Watch
from fitgap.training import checkpoints

ACCURACY = json.dumps([{"name": "accuracy", "direction": 1}])
RMSE = json.dumps([{"name": "rmse", "direction": -1}])


def make_run(number, status, *, metrics=None, described=ACCURACY, failure=None, end=None):
    tags = {"fitgap.identity": f"i{number}", "fitgap.metrics": described, "fitgap.sweep": "p"}
    if failure:
        tags["fitgap.failure"] = failure
    end = end if end is not None else (None if status == "RUNNING" else 1000 * number + 500)
    return StoredRun(
        f"r{number}", f"run {number}", status, 1000 * number, {"training.epochs": "4"},
        metrics or {}, tags, "", end,
    )  # fmt: skip


def scores(train, val, name="accuracy"):
    gap = train - val if name == "accuracy" else val - train
    return {f"train/{name}": train, f"val/{name}": val, f"gap/{name}": gap}


@pytest.fixture
def record(monkeypatch):
    """Return the list of runs that the watch finds."""
    runs = []
    monkeypatch.setattr(store, "find_runs", lambda *_, **__: list(runs))
    monkeypatch.setattr(
        store, "metric_histories", lambda _uri, run_ids, keys: {r: {keys[0]: {}} for r in run_ids}
    )
    monkeypatch.setattr(checkpoints, "last_epoch", lambda _path: None)
    return runs


def make_watch(total=4, finished=()):
    return Watch(
        "sqlite:////nowhere/m.db",
        experiment="e",
        parent="p",
        total=total,
        finished=finished,
    )


def test_counts_take_in_what_earlier_sweeps_finished(record):
    watch = make_watch(total=4, finished=["i0"])
    record += [
        make_run(1, "FINISHED", metrics=scores(0.9, 0.8)),
        make_run(2, "FAILED", failure="DivergedError: the loss is nan"),
        make_run(3, "RUNNING"),
    ]
    found = watch.look()
    assert (found.total, found.finished, found.failed) == (4, 2, 1)
    assert [one.name for one in found.ended] == ["run 1", "run 2"]
    assert found.ended[0].seconds == 0.5
    assert "the loss is nan" in found.ended[1].said
    assert found.training == (Training("run 3", 0, 4, None),)


def test_a_search_counts_pruned_trials_and_those_that_earlier_runs_answer(record):
    watch = make_watch(total=4)
    watch.answered = 1
    pruned = make_run(1, "KILLED", failure="pruned: val/accuracy is behind the median")
    pruned.tags["fitgap.pruned"] = "true"
    record += [pruned, make_run(2, "FINISHED", metrics=scores(0.9, 0.8))]
    found = watch.look()
    assert (found.finished, found.failed) == (3, 0)
    assert found.ended[0].said == "pruned: val/accuracy is behind the median"


@pytest.mark.parametrize(
    ("text", "trials"),
    [
        ('{"n_trials": 5}', "5 trials"),
        (None, "  trials"),
        ("[", "  trials"),
        ("[1]", "  trials"),
        ('{"n_trials": 1e999}', "  trials"),
        ('{"n_trials": null}', "  trials"),
    ],
)
def test_a_search_is_watched_and_its_state_told_without_a_plan(
    record, monkeypatch, capsys, text, trials
):
    monkeypatch.setattr(store, "artifact_text", lambda *_, **__: text)
    parent = make_run(9, "KILLED")
    parent.tags["fitgap.search"] = "s"
    record += [make_run(1, "FINISHED", metrics=scores(0.9, 0.8)), make_run(2, "RUNNING")]
    search = status.Sweep("e", parent)
    live_view.follow("sqlite:////nowhere/m.db", search)
    progress.show_status("sqlite:////nowhere/m.db", search)
    said = capsys.readouterr().out
    assert f"{trials}: 1 finished, 1 running" in said
    assert "give the search's command again" in said
    with pytest.raises(RequestError, match="is a search"):
        status.read_plan("sqlite:////nowhere/m.db", search)


@pytest.mark.parametrize(("trials", "count"), [(5, "1 of 5"), (0, "1")])
def test_a_watch_says_at_once_what_it_watches_and_how_far_it_is(
    record, monkeypatch, capsys, trials, count
):
    monkeypatch.setattr(store, "artifact_text", lambda *_, **__: json.dumps({"n_trials": trials}))
    parent = make_run(9, "RUNNING")
    parent.tags["fitgap.search"] = "s"
    record += [make_run(1, "FINISHED", metrics=scores(0.9, 0.8)), make_run(2, "RUNNING")]
    at_the_first_look_again = []

    def ended(*_, **__):
        at_the_first_look_again.append(capsys.readouterr().out)
        return status.Sweep("e", replace(parent, status="FINISHED"))

    monkeypatch.setattr(status, "choose_sweep", ended)
    monkeypatch.setattr(live_view, "LOOK_SECONDS", 0.01)
    live_view.follow("sqlite:////nowhere/m.db", status.Sweep("e", parent))
    assert at_the_first_look_again == [
        f"watching run 9 (r9): {count} runs finished, 1 in training\n"
    ]


def test_what_ended_before_the_watch_is_no_news(record):
    record.append(make_run(1, "FAILED", failure="x"))
    watch = make_watch()
    assert watch.look().ended == ()
    record[0] = make_run(1, "FINISHED", metrics=scores(0.9, 0.8), end=9000)  # trained again
    assert [one.failed for one in watch.look().ended] == [False]
    assert len(watch.look().ended) == 1


@pytest.mark.parametrize(
    ("described", "name", "best"), [(ACCURACY, "accuracy", "run 2"), (RMSE, "rmse", "run 1")]
)
def test_the_best_is_by_the_primary_metrics_direction(record, described, name, best):
    watch = make_watch()
    record += [
        make_run(1, "FINISHED", metrics=scores(0.3, 0.4, name), described=described),
        make_run(2, "FINISHED", metrics=scores(0.7, 0.8, name), described=described),
    ]
    found, reached = watch.look().best
    assert (found, reached.metric) == (best, f"val/{name}")


@pytest.mark.parametrize(
    ("described", "name", "gap"),
    [(ACCURACY, "accuracy", 0.1), (RMSE, "rmse", -0.1)],
)
def test_an_epochs_figures_and_gap_come_from_the_checkpoint(
    record, monkeypatch, described, name, gap
):
    watch = make_watch()
    record.append(make_run(1, "RUNNING", described=described))
    epoch = (2, {"loss": 0.1, name: 0.9}, {"loss": 0.2, name: 0.8})
    monkeypatch.setattr(checkpoints, "last_epoch", lambda _path: epoch)
    (one,) = watch.look().training
    assert (one.epoch, one.reached) == (2, Reached(f"val/{name}", 0.8, pytest.approx(gap)))


@pytest.mark.parametrize("damaged", ["", "[", '{"a": 1}', "[1]", '[{"name": "x"}]'])
def test_a_damaged_description_of_metrics_is_no_harm(record, damaged):
    watch = make_watch()
    record.append(make_run(1, "FINISHED", metrics=scores(0.9, 0.8), described=damaged))
    assert watch.look().best == ("run 1", Reached("val/accuracy", 0.8, pytest.approx(0.1)))


def test_a_metric_without_a_value_is_named_beside_the_figures(record):
    watch = make_watch()
    run = make_run(1, "FINISHED", metrics=scores(0.9, 0.8))
    record.append(replace(run, tags=run.tags | {"fitgap.undefined": "val/roc_auc: one class"}))
    (ended,) = watch.look().ended
    assert ended.said.endswith(", no val/roc_auc: one class")


def test_names_reach_the_terminal_without_their_control_characters(record):
    watch = make_watch()
    run = make_run(1, "FINISHED", metrics=scores(0.9, 0.8))
    record.append(StoredRun(**{n: getattr(run, n) for n in run.__slots__} | {"name": "a\x1b[2Jb"}))
    assert watch.look().ended[0].name == "a?[2Jb"


def snapshot(**changes):
    values = {"total": 18, "finished": 7, "ended": (), "training": (), "best": None} | changes
    return Snapshot(**values)


def text_of(found, *, width=80):
    console = Console(file=io.StringIO(), width=width)
    for line in live_view.lines(found, seconds=62.0, left=None, width=width):
        console.print(line)
    return console.file.getvalue()


def test_the_view_says_what_is_done():
    text = text_of(snapshot(best=("sgd", Reached("val/accuracy", 0.9, 0.1))))
    assert text.startswith("7/18 ")
    assert "1:02" in text
    assert "best: sgd" in text
    assert "compiling" in text_of(snapshot(training=(Training("a", 0, 6, None),)))
    assert "loading" in text_of(snapshot())
    assert "loading" in text_of(None)


def test_a_metric_is_no_markup_of_the_view():
    text = text_of(snapshot(best=("[/nope]", Reached("[/nope] :smile:", 0.9, 0.1))))
    assert text.count("[/nope]") == 2
    assert ":smile:" in text


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("letter", ["x", "깊"])
def test_in_a_narrow_terminal_a_long_name_gives_way_to_its_figures(width, letter):
    reached = Reached("val/accuracy", 0.8286, 0.0123)
    name = f"trial7 {letter * 200} seed=2"
    text = text_of(
        snapshot(training=(Training(name, 3, 6, reached),), best=(name, reached)), width=width
    )
    # A terminal's own ^C behind the last line must not break it.
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= width - len("^C")
    _, header, run, best = text.splitlines()
    assert header.split() == ["epoch", "val/accuracy", "gap"]
    assert run.split()[0] == "trial7"
    assert run.split()[2:] == ["seed=2", "3/6", "0.8286", "+0.0123"]
    assert best.strip().startswith("best: trial7")
    assert best.split()[-3:] == ["seed=2", "0.8286", "+0.0123"]


def test_the_groups_of_settings_give_way_before_the_seed_does():
    name = "optimizer=adam seed=0 optimizer.learning_rate=0.01"
    run = Training(name, 2, 3, Reached("val/accuracy", 0.8286, 0.0123))
    shown = text_of(snapshot(training=(run,)), width=80).splitlines()[2]
    assert shown.startswith("  optimizer=adam seed=0 learning_rate=0.01 ")
    assert name in text_of(snapshot(training=(run,)), width=120)


def test_the_time_left_follows_the_pace_of_what_has_ended():
    ended = tuple(watching.Ended(f"r{i}", False, "", 1.0) for i in range(4))
    found = snapshot(total=10, finished=4, ended=ended, training=(Training("a", 1, 2, ""),))
    # 4.5 runs in 90 s: 20 s each; 5.5 are left.
    assert live_view.time_left(found, done_before=0, watched=90.0) == pytest.approx(110.0)
    # Half of the run in training was done when the watch began: 4 in 90 s.
    assert live_view.time_left(found, done_before=0.5, watched=90.0) == pytest.approx(123.75)
    assert live_view.time_left(snapshot(), done_before=0, watched=9.0) is None


def test_without_a_terminal_each_run_that_ends_is_one_counted_line(record, capsys):
    watch = make_watch(total=3, finished=["i0"])
    with live_view.show(watch):
        record += [
            make_run(1, "FINISHED", metrics=scores(0.9, 0.8)),
            make_run(2, "FAILED", failure="boom [1]"),
        ]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("[2/3] run 1: train/accuracy 0.9000, val/accuracy 0.8000")
    assert second == "[2/3] run 2: FAILED, boom [1], 0.5 s"


@pytest.mark.usefixtures("record")
def test_a_store_that_is_away_for_a_moment_ends_nothing(monkeypatch, capsys):
    watch = make_watch()

    def away(*_, **__):
        from fitgap.errors import StoreAwayError

        raise StoreAwayError("away")

    with live_view.show(watch):
        monkeypatch.setattr(store, "find_runs", away)
    assert capsys.readouterr().out == ""
