"""The benchmark's tables and pages, and the results that are kept; nothing here is timed."""

import io
import sys

import pytest
from rich.console import Console

from fitgap.errors import RequestError
from fitgap_lab.benchmark import bounds, report
from fitgap_lab.benchmark.processes import PROJECT_ROOT, machine_cores, run
from fitgap_lab.benchmark.results import (
    Bounds,
    Case,
    CaseTimes,
    CommandTimes,
    EpochTimes,
    KernelTimes,
    Memory,
    MetricTimes,
    RecordTimes,
    Single,
    SingleTimes,
    Sweep,
    SweepTimes,
    ViewCosts,
)


def epoch_times(variant, *seconds):
    return EpochTimes(variant, "compiled+xla", 0.25, 12.5, seconds)


def case_times(goal=8.0):
    return CaseTimes(
        Case("dense_batch_norm_dropout", "adam", 1024, goal=goal, jax=True),
        "48,000 images, Fashion-MNIST's training partition",
        (
            epoch_times("fitgap, 1 thread", 0.5, 0.25, 0.5),
            epoch_times("fitgap, 64 threads", 100.25, 123.25, 1000.5),
            epoch_times("fit, float pixels", 4.0, 4.0, 3.0),
            epoch_times("fit, uint8 pixels", 5.0, 5.0, 2.0),
            epoch_times("fit, tuned", 1.0, 1.0, 1.0),
            epoch_times("JAX scan by hand", 0.25, 0.25, 0.25),
        ),
    )


def case_of_bounds():
    return CaseTimes(
        Case("cnn_small", "adam", 64, goal=2.5),
        "digits",
        (
            epoch_times("fitgap, 1 thread", 8.0),
            epoch_times("fitgap, 2 threads", 5.0),
            epoch_times("fit, float pixels", 12.0),
            epoch_times("fit, uint8 pixels", 13.0),
        ),
    )


RESULTS = {
    "epochs": [case_times()],
    "grid": [case_times(goal=1.0), case_times(goal=1.0)],
    "sweep": [
        Sweep(
            "fashion_mnist",
            (
                SweepTimes("fitgap", 24, 24, (50.0, 60.0)),
                SweepTimes("Keras, mlflow autolog", 24, 6, (1000.0, 1200.0)),
            ),
        )
    ],
    "single": [
        Single(
            "fashion_mnist",
            (
                SingleTimes("fitgap, first command", (8.0, 5.0)),
                SingleTimes("Keras, logged by hand", (20.0, 20.0)),
            ),
        )
    ],
    "tracking": [RecordTimes("fashion_mnist", (4.0, 5.0), (3.0, 4.5))],
    "metrics": [MetricTimes("digits", ("accuracy", "log_loss"), 5, (2.0, 4.0), (3.0, 4.5))],
    "startup": [
        CommandTimes("train.py -m, 24 finished runs", (1.5, 1.25), imports_tensorflow=False)
    ],
    "views": [
        ViewCosts(10_000, 258.4, (2.72, 143.2), (10.06, 488.0), 2.84),
        ViewCosts(100_000, 2600.0, (19.9, 640.0), None, None),
    ],
    "memory": [Memory((100.0,) * 50 + (104.0,) * 150)],
    "bounds": [
        Bounds(
            epochs=(case_of_bounds(),),
            kernels=(
                (
                    # 4 s of arithmetic, 1 s of memory, 0.5 s of starts.
                    KernelTimes(1, 6.0, 40e9, 10e9, 2e9, 2e9, 50_000, 1e-5),
                    KernelTimes(2, 3.0, 40e9, 20e9, 2e9, 2e9, 50_000, 1e-5),
                ),
            ),
            sweep=Sweep(
                "digits",
                (
                    SweepTimes("fitgap", 24, 24, (50.0,)),
                    SweepTimes("Keras, logged by hand", 24, 2, (360.0,)),
                    SweepTimes("Keras, mlflow autolog", 24, 2, (720.0,)),
                ),
            ),
            single=Single(
                "digits",
                (
                    SingleTimes("fitgap, first command", (10.0,)),
                    SingleTimes("fitgap, second command", (8.0,)),
                    SingleTimes("Keras, logged by hand", (24.0,)),
                ),
            ),
            record=RecordTimes("digits", (2.5,), (1.9,)),
            seconds={
                bounds.IMPORTS: (3.0, 4.0, 5.0),
                bounds.COMPOSED: (0.125,),
                bounds.NEW_DATABASE: (0.5,),
                bounds.COMPILED: (2.0,),
                bounds.TRAINED: (1.775,),
                bounds.BY_HAND: (0.075,),
                bounds.SAVED: (0.025,),
                bounds.DRAWN: (0.3,),
                bounds.COMMIT: (0.0005,),
            },
            commits=7,
            cores=2,
            optimizers=6,
        )
    ],
}


def part(name, notes=()):
    return report.make_part(
        name, RESULTS[name], command="python scripts/bench.py", load=0.125, notes=notes
    )


def rows(name):
    """Return the rows of a part's first table by their first cell."""
    return {row[0]: row[1:] for row in part(name).tables[0].rows}


def printed(name):
    text = io.StringIO()
    report.print_part(part(name), console=Console(file=text, width=80))
    return text.getvalue()


def test_the_faster_plain_fit_is_the_baseline():
    # Medians 4 and 5: the single fast epoch of the second does not count.
    assert case_times().baseline.variant == "fit, float pixels"


def test_epoch_table_shows_the_median_of_the_rounds_ratios():
    # 4 / 0.5, 4 / 0.25, 3 / 0.5.
    median, _, speed, span, first = rows("epochs")["fitgap, 1 thread"]
    assert (median, speed, span, first) == ("0.500", "8.00 x", "6.00 to 16.0", "12.5")


def test_epoch_table_sets_the_engine_against_jax():
    # 0.5 / 0.25, 0.25 / 0.25, 0.5 / 0.25.
    assert "fitgap, 1 thread: 2.00;" in part("epochs").tables[0].notes[-1]


def test_grid_names_the_lowest_ratio():
    # 4 / 100.25, 4 / 123.25, 3 / 1000.5: the median is 0.0325.
    assert (
        part("grid").tables[0].notes[-1].endswith("1 thread: 8.00 x; fitgap, 64 threads: 0.032 x.")
    )


def test_sweep_table_shows_times_as_multiples_of_this_project():
    done, *_, time, span = rows("sweep")["Keras, mlflow autolog"]
    assert (done, time, span) == ("6 of 24", "20.0 x", "20.0 to 20.0")


def test_sweep_table_says_that_it_was_scaled_up():
    assert any("each missing run counts" in note for note in part("sweep").tables[0].notes)


def test_a_command_is_shown_as_so_many_times_as_fast_as_the_script():
    # 20 / 8 and 20 / 5.
    assert rows("single")["fitgap, first command"][2:] == ("3.25 x", "2.50 to 4.00")


def test_tracking_table_shows_the_share_of_the_recorded_run():
    # 1 / 4 and 0.5 / 5: 25 % and 10 %.
    assert rows("tracking")["share of the run, %"] == ("17.5", "10.0 to 25.0")


def test_what_was_not_measured_of_many_runs_is_a_dash():
    assert rows("views") == {
        "10,000": ("258.4", "2.7", "143", "10.1", "488", "2.8"),
        "100,000": ("2600.0", "19.9", "640", "-", "-", "-"),
    }


def test_memory_table_shows_first_fiftieth_and_last_run():
    assert list(rows("memory")) == ["1", "50", "200"]


def test_memory_table_states_the_growth():
    assert part("memory").tables[0].notes[-1].endswith("+4.0%.")


@pytest.mark.parametrize("name", RESULTS)
def test_tables_fit_80_columns_and_lose_nothing(name):
    text = printed(name)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for table in part(name).tables:
        assert all(cell in text for row in table.rows for cell in row[1:])


def test_goals_stand_beside_what_their_parts_alone_would_reach():
    goals = {row[0]: row[1:] for row in part("bounds").tables[-1].rows}
    # A run is 2 s, the imports 4 s, a compilation 2 s: the sweep 4 + (6 * 2 + 24 * 2) / 2 = 34 s.
    assert goals["24 runs, logged by hand"] == ("12.0 x", "7.20 x", "10.6 x", "-")
    assert goals["24 runs, autolog"][2] == "21.2 x"
    # Two pictures take 0.3 s.
    assert goals["first command"] == ("3.50 x", "2.40 x", "2.73 x", "-")
    assert goals["second command"][1:3] == ("3.00 x", "3.81 x")
    # 0.6 of 2.5 s; 0.4 of 2.3 s.
    assert goals["a record's share, %"] == ("5", "24.0", "17.4", "-")
    assert goals["cnn_small, 1 thread"] == ("2.50 x", "1.50 x", "2.00 x", "3.00 x")
    assert goals["cnn_small, 2 threads"] == ("2.50 x", "2.40 x", "4.00 x", "6.00 x")


def test_parts_that_were_not_measured_stay_in_the_page_as_they_are():
    page = report.to_markdown({name: part(name) for name in ("epochs", "views", "memory")})
    page = page.replace("## Memory\n", "## Memory\n\nOn another machine.\n")
    again = report.make_part(
        "views", RESULTS["views"][:1], command="python scripts/bench.py --only views", load=1.0
    )
    parts = {"views": again, "memory": part("memory"), "startup": part("startup")}
    changed = report.to_markdown(parts, page=page, measured=["views"])
    before, after = (text.split("\n## ") for text in (page, changed))
    assert [text.partition("\n")[0] for text in after[1:]] == [
        "Epochs",
        "Startup",
        "Views",
        "Memory",
    ]
    assert (after[1], after[4]) == (before[1], before[3])
    assert "--only views" in after[3]
    assert "| 100,000 |" not in after[3]
    assert report.to_markdown(parts, page=changed, measured=["views"]) == changed


def test_markdown_names_command_machine_and_load():
    made = part("startup")
    page = report.to_markdown({"startup": made})
    assert (
        f"`python scripts/bench.py`, {made.date}, load average before it 0.12; {made.machine}."
        in page
    )
    assert "| train.py -m, 24 finished runs | 1.38 | 1.25 to 1.50 | no |" in page


def test_kept_results_are_read_back_whole(tmp_path):
    parts = {name: part(name, notes=["so it was"]) for name in RESULTS}
    path = tmp_path / "bench.json"
    path.write_text(report.to_json(parts))
    kept = report.read_json(path)
    assert report.to_json(kept) == report.to_json(parts)
    assert report.to_markdown(kept) == report.to_markdown(parts)


@pytest.mark.parametrize("text", ["{", "[]", '{"epochs": {"name": "epochs"}}'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(RequestError, match="no result of this benchmark"):
        report.read_json(path)


@pytest.mark.slow
def test_the_short_form_measures_every_part(tmp_path):
    kept = tmp_path / "bench.json"
    command = [sys.executable, "scripts/bench.py", "--short", "--output", str(kept)]
    run(command, folder=PROJECT_ROOT)
    assert set(report.read_json(kept)) == {*RESULTS} - {"grid", "bounds"}


@pytest.mark.slow
def test_the_short_form_measures_bounds(tmp_path):
    kept = tmp_path / "bench.json"
    command = [sys.executable, "scripts/bench.py", "--short", "--only", "bounds"]
    run([*command, "--output", str(kept)], folder=PROJECT_ROOT)
    tables = report.read_json(kept)["bounds"].tables
    assert [len(table.rows) for table in tables[1:]] == [
        3 * min(machine_cores(), 2),
        5 + 3 * min(machine_cores(), 2),
    ]


def test_what_metrics_cost_is_a_difference_within_a_round_and_per_epoch():
    found = rows("metrics")
    assert found["time, as a multiple"][0] == "1.31"
    assert found["the others, of an epoch, s"] == ("0.150", "0.100 to 0.200")
