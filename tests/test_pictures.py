"""Pictures of comparisons: what they show, in which colours, and as which files."""

import io
import itertools
import re
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest
import vl_convert
from click.testing import CliRunner

from fitgap import memory, store
from fitgap.charts import confusion, fonts, labels, run_curves
from fitgap.charts import picture as pictures
from fitgap.charts.picture import Picture
from fitgap.charts.themes import DARK, LIGHT, MOST_COLOURED, PAGE
from fitgap.commands import plot
from fitgap.comparison.estimates import estimate
from fitgap.comparison.gap_curves import front_of
from fitgap.comparison.groups import Comparison, Group, Section
from fitgap.errors import RequestError
from fitgap.report import comparison_charts, curve_charts, gap_chart, settings_charts, sweep_charts
from fitgap.report.leaderboard import label_of
from fitgap.store import StoredRun
from fitgap.store.predictions import StoredPredictions

SEEDS = 2
EPOCHS = 4


def make_run(run_id, settings, *, val, gap):
    params = {"train_samples": "100", "seed": run_id[-1]}
    params |= {f"{key}.name" if key in ("optimizer",) else key: v for key, v in settings.items()}
    metrics = {"val/accuracy": val, "gap/accuracy": gap, "time/fit_seconds": 8.0}
    return StoredRun(run_id, "", "FINISHED", 0, params, metrics, {})


def make_section(variants):
    groups = []
    for number, (settings, val, gap) in enumerate(variants):
        runs = tuple(
            make_run(f"r{number}-{seed}", settings, val=val + seed / 100, gap=gap)
            for seed in range(SEEDS)
        )
        names = runs[0].metrics
        metrics = {name: estimate([run.metrics[name] for run in runs]) for name in names}
        groups.append(Group(dict(settings), runs, metrics))
    keys = tuple(dict.fromkeys(key for settings, _, _ in variants for key in settings))
    return Section(
        "digits", "d", "holdout", "s", {}, keys, "val/accuracy", tuple(groups), differing=keys
    )


SECTION = make_section(
    [
        ({"optimizer": "adam", "training.epochs": "4"}, 0.9, 0.05),
        ({"optimizer": "sgd", "training.epochs": "4"}, 0.8, 0.01),
        ({"optimizer": "adam", "training.epochs": "8"}, 0.85, 0.06),
        ({"optimizer": "<b>&한글", "training.epochs": "8"}, 0.7, 0.02),
    ]
)


def make_histories(section):
    histories = {}
    for i, group in enumerate(section.groups):
        for seed, run in enumerate(group.runs):
            epochs = range(1, EPOCHS + 1)
            val = {e: 0.5 + e / 20 - i / 50 + seed / 100 for e in epochs}
            train = {e: value + 0.05 for e, value in val.items()}
            running = dict.fromkeys(epochs, 1.0)
            # A step after the last epoch: the saved weights' figures, which are no epoch's.
            val[EPOCHS + 1] = 0.0
            histories[run.run_id] = {
                "val/accuracy": val,
                "train/accuracy": train,
                "running/loss": running,
            }
    return histories


HISTORIES = make_histories(SECTION)


def values_of(spec, panel=None):
    """Return the data of every layer of a chart, or of one of its panels."""
    chart = panel or spec
    # Altair lifts data that all layers share.
    names = [layer.get("data", chart.get("data"))["name"] for layer in chart["layer"]]
    return [spec["datasets"][name] for name in names]


def test_every_group_is_in_one_chart_with_training_and_validation():
    spec = curve_charts.curves(SECTION, HISTORIES, metric="accuracy").spec()
    rows = values_of(spec)[1]
    assert len({row["group"] for row in rows}) == len(SECTION.groups)
    assert {row["part"] for row in rows} == {"training", "validation"}
    assert max(row["x"] for row in rows) == EPOCHS
    first = next(r for r in rows if r["group"].startswith("adam") and r["part"] == "validation")
    # By hand: 0.5 + 1/20 of the first seed, 1/100 more of the second.
    assert first["mean"] == pytest.approx(0.555)
    assert (first["low"], first["high"]) == pytest.approx((0.55, 0.56))


def test_an_epoch_is_as_many_images_as_the_training_partition_has():
    spec = curve_charts.curves(SECTION, HISTORIES, metric="accuracy", x="images").spec()
    assert {row["x"] for row in values_of(spec)[1]} == {100.0, 200.0, 300.0, 400.0}
    spec = curve_charts.curves(SECTION, HISTORIES, metric="accuracy", x="seconds").spec()
    assert {row["x"] for row in values_of(spec)[1]} == {2.0, 4.0, 6.0, 8.0}


@pytest.mark.parametrize("log", ["x", "y", "xy"])
def test_axes_can_be_logarithmic(log):
    spec = curve_charts.curves(SECTION, HISTORIES, metric="accuracy", log=log).spec()
    found = {axis: spec["layer"][1]["encoding"][axis]["scale"]["type"] for axis in "xy"}
    assert found == {axis: "log" if axis in log else "linear" for axis in "xy"}


def test_a_metric_without_curves_is_refused_by_name():
    with pytest.raises(RequestError, match="'f1_macro'"):
        curve_charts.curves(SECTION, HISTORIES, metric="f1_macro")


def test_groups_with_the_same_short_name_stay_apart():
    long = "x" * 80
    section = make_section([({"name": f"{long}{i}{long}"}, 0.5, 0.1) for i in range(2)])
    spec = curve_charts.curves(section, make_histories(section), metric="accuracy").spec()
    assert len({row["group"] for row in values_of(spec)[1]}) == 2


def test_the_gap_picture_names_the_groups_and_marks_the_front():
    spec = gap_chart.gap_against_metric(SECTION, metric="accuracy").spec()
    rows = values_of(spec)[0]
    on_front = {row["rank"] for row in rows if row["kind"] != "beaten"}
    # 3 has less accuracy and a larger gap than 1; 4 has both less than 2.
    assert on_front == {1, 2}
    assert {row["name"] for row in values_of(spec)[-1]} == {row["group"] for row in rows}


def test_a_group_that_only_guesses_is_not_on_the_front():
    figures = {"adam": (0.9, 0.05), "sgd": (0.8, 0.01), "constant": (0.1, 0.0)}
    section = make_section([({"optimizer": name}, *both) for name, both in figures.items()])
    assert front_of(section) == {0, 1, 2}
    for group in section.groups:
        group.metrics["baseline/accuracy"] = estimate([0.1] * SEEDS)
    assert front_of(section) == {0, 1}


def test_parallel_coordinates_go_through_each_setting_and_both_figures():
    picture = settings_charts.parallel_coordinates(SECTION, metric="accuracy")
    # The two parts of a name below each other, and no whole name that would meet the next one.
    assert re.search(r">val</\w+>\s*<\w+[^>]*>accuracy<", picture.svg())
    spec = picture.spec()
    columns = [row["column"] for row in values_of(spec)[0]]
    assert columns == ["optimizer", "training.epochs", "val/accuracy", "gap/accuracy"]
    lines = values_of(spec)[1]
    best = {row["column"]: row["y"] for row in lines if row["line"] == 0}
    assert best["val/accuracy"] == 1.0
    assert best["training.epochs"] == 0.0
    assert best["gap/accuracy"] == pytest.approx(0.8)  # (0.05 - 0.01) / (0.06 - 0.01)


@pytest.mark.parametrize("letter", ["x", "망"])
@pytest.mark.parametrize("others", [1, 6])
def test_a_long_value_does_not_reach_the_next_axis(letter, others):
    keys = ("optimizer", *(f"s{i}" for i in range(others)))
    section = make_section([(dict.fromkeys(keys, letter * 60), 0.9, 0.05)])
    spec = settings_charts.parallel_coordinates(section, metric="accuracy").spec()
    texts = [row["text"] for rows in values_of(spec) for row in rows if "…" in str(row.get("text"))]
    assert texts
    step = settings_charts.WIDTH / (len(keys) + 2)  # the axes are farther apart than that
    assert max(labels.width_of(text) for text in texts) < step


def test_a_matrix_averages_over_the_runs_of_a_cell():
    spec = settings_charts.matrix(SECTION, metric="accuracy").spec()
    cells = {(row["x"], row["y"]): row["score"] for row in values_of(spec)[0]}
    assert cells["adam", "4"] == pytest.approx(0.905)
    assert len(cells) == 4


def test_a_matrix_needs_two_settings_that_differ():
    with pytest.raises(RequestError, match="those that differ: optimizer"):
        settings_charts.matrix(SECTION, metric="accuracy", settings=("seed", "optimizer"))


def drawn(kind, **options):
    picture = {
        "curves": lambda: curve_charts.curves(SECTION, HISTORIES, metric="accuracy"),
        "gap": lambda: gap_chart.gap_against_metric(SECTION, metric="accuracy"),
        "parallel": lambda: settings_charts.parallel_coordinates(SECTION, metric="accuracy"),
        "matrix": lambda: settings_charts.matrix(SECTION, metric="accuracy"),
    }[kind]()
    return Picture(picture.chart, options.get("title", ""))


def test_a_group_has_one_colour_in_all_charts():
    histories = make_histories(SECTION)
    for run in SECTION.groups[0].runs:  # as of a run of one epoch: no curve, but still the first
        histories[run.run_id] = {}
    of_curves = curve_charts.curves(SECTION, histories, metric="accuracy").spec()
    of_gaps = gap_chart.gap_against_metric(SECTION, metric="accuracy").spec()
    strokes, dots = of_curves["layer"][1], of_gaps["layer"][-3]
    named, ranked = (each["encoding"]["color"]["scale"] for each in (strokes, dots))
    colours = dict(zip(named["domain"], named["range"], strict=True))
    by_rank = dict(zip(ranked["domain"], ranked["range"], strict=True))
    names = {row["rank"]: row["group"] for rows in values_of(of_gaps) for row in rows if "n" in row}
    assert colours
    assert label_of(SECTION.groups[0]) not in colours
    assert colours == {names[i]: colour for i, colour in by_rank.items() if names[i] in colours}


def test_no_legend_is_black_on_a_dark_page():
    svg = gap_chart.gap_against_metric(SECTION, metric="accuracy").svg(DARK)
    assert "black" not in svg


@pytest.mark.parametrize(("epochs", "is_whole"), [(5, True), (9, True), (10, False)])
def test_a_short_run_is_shown_with_all_its_epochs(epochs, is_whole):
    histories = make_histories(SECTION)
    curve = {i: 1.0 if i == 1 else 0.5 + i / 100 for i in range(1, epochs + 1)}
    for run_id, found in histories.items():
        histories[run_id] = dict.fromkeys(found, curve)
    spec = curve_charts.curves(SECTION, histories, metric="accuracy").spec()
    _, high = spec["layer"][1]["encoding"]["y"]["scale"]["domain"]
    assert (high >= 1.0) is is_whole


def test_the_command_has_every_kind():
    assert (*comparison_charts.KINDS, *sweep_charts.KINDS, *plot.OF_A_RUN) == plot.KINDS
    described = [line.split()[0] for line in plot.command.help.splitlines() if line.strip()]
    assert set(plot.KINDS) <= set(described)


@pytest.mark.parametrize("kind", [one for one in comparison_charts.KINDS if one != "variance"])
def test_every_kind_of_groups_is_drawn_with_its_names_as_text(kind):
    root = ElementTree.fromstring(drawn(kind, title="제목 <&>").svg())
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert "제목 <&>" in texts
    assert any("<b>&한글" in (text or "") for text in texts)


def test_charts_of_two_metrics_stand_below_each_other():
    histories = make_histories(SECTION)
    for curves in histories.values():
        curves |= {f"{part}/f1": curves[f"{part}/accuracy"] for part in ("train", "val")}
    both = [curve_charts.curves(SECTION, histories, metric=m) for m in ("accuracy", "f1")]
    root = ElementTree.fromstring(comparison_charts.below_each_other(both, title="").svg())
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"accuracy", "f1"} <= texts


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_groups_and_text_stand_out_from_the_paper(theme):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a, b):
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    groups = [colour for role, colour in theme.items() if role.startswith("group-")]
    assert min(contrast(colour, theme["paper"]) for colour in groups) >= 3
    assert min(contrast(theme[role], theme["paper"]) for role in ("ink", "muted")) >= 4.5
    assert len(set(groups)) == MOST_COLOURED
    assert theme.keys() == PAGE.keys()


def test_a_group_that_is_called_like_a_colour_keeps_its_name():
    section = make_section([({"name": "ink"}, 0.5, 0.1), ({"name": "paper"}, 0.6, 0.1)])
    spec = gap_chart.gap_against_metric(section, metric="accuracy").spec()
    assert {row["name"] for row in values_of(spec)[-1]} == {"name=ink", "name=paper"}


def test_a_png_has_the_resolution_asked_for(tmp_path):
    sizes = []
    for dpi in (96, 192):
        path = drawn("matrix").save(tmp_path / "a" / f"{dpi}.png", dpi=dpi)
        sizes.append(PIL.Image.open(io.BytesIO(path.read_bytes())).size)
    assert sizes[1] == pytest.approx((2 * sizes[0][0], 2 * sizes[0][1]), abs=2)


def test_a_page_is_whole_and_takes_its_readers_colours(tmp_path):
    title = "<!--<script></script><b>"
    text = drawn("curves", title=title).save(tmp_path / "p.html").read_text("utf-8")
    assert text.count("<script>") == text.count("</script>") == 2
    assert "prefers-color-scheme: dark" in text
    assert "var(--group-1)" in text
    assert not re.search(r"<(?:script src|link|iframe)", text)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"\.svg, \.png, \.pdf, \.html"):
        drawn("matrix").save(tmp_path / "p.gif")


def test_letters_that_no_font_has_are_said_once(monkeypatch, capsys):
    monkeypatch.setattr(fonts, "_without_font", set)
    monkeypatch.setattr(fonts, "_warned_of", set())
    for _ in range(2):
        drawn("matrix").pdf()
    assert capsys.readouterr().err.count("no installed font has") == 1


def test_a_letter_that_nothing_can_draw_is_told_from_one_that_something_can():
    unassigned = "\U0010fffe"
    assert fonts._without_font(["A", unassigned, "g"]) == {unassigned}


@pytest.mark.parametrize("character", ["\ufffe", "\uffff", "\x01", "\ud800"])
def test_a_character_that_no_svg_can_hold_is_shown_as_what_it_is(character):
    section = make_section([({"name": f"a{character}b"}, 0.5, 0.1), ({"name": "c"}, 0.6, 0.1)])
    both = [gap_chart.gap_against_metric(section, metric="accuracy")]
    picture = comparison_charts.below_each_other(both, title=f"t{character}")
    ElementTree.fromstring(picture.svg())
    assert f"a{ascii(character)[1:-1]}b" in picture.svg()
    assert picture.png(dpi=50).startswith(b"\x89PNG")


def test_running_averages_are_drawn_where_there_is_nothing_exact():
    history = {"running/loss": {1: 2.0, 2: 1.0}, "running/accuracy": {1: 0.5, 2: 0.6}}
    spec = run_curves.draw(history).spec()
    loss, accuracy = (values_of(spec, panel)[1] for panel in spec["hconcat"])
    assert [row["value"] for row in loss] == [2.0, 1.0]
    assert {row["data"] for row in accuracy} == {"training (running average)"}


def test_east_asian_names_are_written_without_serifs():
    def fonts_of(name):
        section = make_section([({"name": name}, 0.5, 0.1), ({"name": "other"}, 0.6, 0.1)])
        spec = gap_chart.gap_against_metric(section, metric="accuracy").spec()
        return spec["config"]["font"]

    assert fonts_of("합성곱").startswith("Noto Sans CJK KR")
    assert fonts_of("plain") == fonts.FILE_FONT


def test_names_keep_their_order_and_distance():
    wanted = [50.0, 52.0, 51.0, 10.0]
    placed = labels.spread(wanted, distance=10)
    assert placed == [41.0, 61.0, 51.0, 10.0]
    assert labels.spread([]) == []


def test_names_beside_points_do_not_lie_on_each_other():
    points = [(100.0 + i, 100.0 + i) for i in range(6)]
    places = labels.beside(points, ["name"] * 6, size=(300, 300))
    boxes = [(x, y, x + labels.width_of("name"), y + labels.LINE) for x, y in filter(None, places)]
    assert len(boxes) > 2
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_a_runs_curves_shade_the_gap_and_leave_out_the_saved_weights():
    (run, *_) = SECTION.groups[0].runs
    spec = run_curves.draw(HISTORIES[run.run_id], title="t").spec()
    (panel,) = spec["hconcat"]
    gap, lines = values_of(spec, panel)
    assert [row["epoch"] for row in gap] == [1, 2, 3, 4]
    assert [row["train"] - row["val"] for row in gap] == pytest.approx([0.05] * 4)
    assert len(lines) == 2 * EPOCHS
    with pytest.raises(RequestError, match="no curve of f1"):
        run_curves.draw(HISTORIES[run.run_id], metrics=["f1"])


def test_a_confusion_matrix_says_counts_and_keeps_equal_names_apart():
    counts = np.array([[98, 2, 0], [0, 50, 50], [1, 0, 99]])
    spec = confusion.draw(counts, ["a", "b", "b"]).spec()
    cells = {(row["true"], row["predicted"]): row for row in values_of(spec)[0]}
    assert len(cells) == 9
    assert cells["a", "b (1)"]["text"] == "2"
    assert cells["b (2)", "a"]["text"] == ""  # 1 % of its row
    assert cells["b (1)", "b (2)"]["share"] == 0.5


def test_a_record_whose_classes_do_not_fit_its_predictions_is_refused():
    numbers = np.array([0, 10**9])
    predicted = StoredPredictions(numbers, numbers, np.ones(2, np.float32))
    with pytest.raises(RequestError, match="names 2 classes"):
        confusion.counts_of(predicted, ["a", "b"])


def test_a_run_is_found_by_the_beginning_of_its_id(monkeypatch):
    runs = [StoredRun(run_id, "", "KILLED", 0, {}, {}, {}) for run_id in ("ab1", "ab2", "c")]
    monkeypatch.setattr(store, "experiments", lambda _uri: {"e": "1"})
    monkeypatch.setattr(store, "find_runs", lambda *_, **__: runs)
    assert store.find_run("sqlite:///m.db", "c").run_id == "c"
    for beginning, said in (
        ("ab", "2 run ids begin like this"),
        ("x", "no run id"),
        ("", "no run id"),
    ):
        with pytest.raises(RequestError, match=said):
            store.find_run("sqlite:///m.db", beginning)


def test_the_command_writes_the_picture_and_says_where(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "metric_histories", lambda *_, **__: HISTORIES)
    monkeypatch.setattr(
        "fitgap.comparison.ranking.compare_experiment", lambda *_, **__: Comparison((SECTION,), ())
    )
    path = tmp_path / "curves.svg"
    arguments = ["curves", "-o", str(path), "--metric", "accuracy", "--size", "300x200"]
    result = CliRunner().invoke(plot.command, arguments)
    assert (result.exit_code, result.output) == (0, f"picture: {path}\n")
    assert path.read_text("utf-8").startswith("<svg")
    assert CliRunner().invoke(plot.command, ["curves", "--size", "9"]).exit_code == 2


def test_the_scripts_are_bundled_once_for_a_project_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FITGAP_PROJECT", str(tmp_path))
    pictures.scripts.cache_clear()
    script = pictures.scripts()
    pictures.scripts.cache_clear()
    monkeypatch.setattr(vl_convert, "javascript_bundle", None)  # would be called in vain
    assert pictures.scripts() == script
    assert "vegaEmbed" in script
    assert "</script" not in script
    assert [path.suffix for path in (tmp_path / ".fitgap").iterdir()] == [".js"]


def test_a_process_that_may_not_have_the_addresses_draws_nothing(monkeypatch):
    pictures._vega.cache_clear()
    monkeypatch.setattr(memory, "limit", lambda: 10**10)
    with pytest.raises(
        RequestError, match=r"pictures need 70 GB of addresses.* 10\.0 GB"
    ) as caught:
        pictures.svg_of({})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "title"), [(0, ""), (1, f"the first {curve_charts.MOST_CURVES} of 61 groups")]
)
def test_curves_of_the_first_of_many_groups_say_so(monkeypatch, more, title):
    number = curve_charts.MOST_CURVES + more
    section = make_section([({"optimizer": f"o{i}"}, 0.9, 0.05) for i in range(number)])
    monkeypatch.setattr(curve_charts, "histories_of", lambda of, **_: make_histories(of))
    comparison = Comparison((section,), ())
    (picture,) = comparison_charts.draw(comparison, "curves", uri="", metrics=["accuracy"])
    assert picture.title == title
