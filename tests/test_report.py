"""The report of a record that MLflow's client wrote: what it gathers, its page, its script."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest

from fitgap import store
from fitgap.commands import overrides
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.gap_curves import curve_of
from fitgap.comparison.query import Query
from fitgap.config import parameters, project, schema
from fitgap.config import settings as config
from fitgap.data import datasets, readers
from fitgap.errors import RequestError
from fitgap.report import interval_bars, page_pictures, repeat_command
from fitgap.report import page as report_page
from fitgap.report.content import report_on
from fitgap.report.page import to_html
from fitgap.store import StoredRun, predictions, server
from fitgap.trust.text import line
from fitgap_lab.benchmark import generated_runs

NAME = '<script>alert("이름")</script>'
REASON = "DivergedError: <img src=x onerror=alert(1)>"
CHROMIUM = shutil.which("chromium")
# axe-core's rules for who reads by keyboard or ear: `npm install --prefix build axe-core`.
AXE = project.CHECKOUT / "build" / "node_modules" / "axe-core" / "axe.min.js"
# Loss and accuracy by epoch; the validation loss is lowest in the second.
TRAIN = [(1.0, 0.5), (0.5, 0.75), (0.25, 1.0)]
VAL = [(1.0, 0.5), (0.75, 0.625), (1.0, 0.75)]


@pytest.fixture(scope="module")
def record(template_database, tmp_path_factory, compose):
    """Return a store of two optimizers over two seeds, a restored run, a failed one."""
    path = shutil.copy(template_database, tmp_path_factory.mktemp("report") / "mlflow.db")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_record(f"sqlite:///{path}", compose)
    return f"sqlite:///{path}"


def write_record(uri, compose):
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(uri)
    experiment = client.create_experiment("fitgap")
    for optimizer, seed, status in (
        ("adam", 0, "FINISHED"),
        ("adam", 1, "FINISHED"),
        ("sgd", 0, "FAILED"),
        ("sgd", 1, "FINISHED"),
    ):
        settings = compose(f"optimizer={optimizer}", f"seed={seed}", "training.epochs=3")
        plain = config.to_plain(settings) | {"metrics": list(settings.metrics)}
        flat = parameters.flatten(plain)
        flat |= {"train_samples": 800, "val_samples": 100, "test_samples": 200}
        params = [
            Param(key, value if isinstance(value, str) else json.dumps(value))
            for key, value in flat.items()
        ]
        tags = {
            "fitgap.role": "run",
            "fitgap.identity": f"{optimizer} {seed}",
            "fitgap.dataset_digest": datasets.load(settings.dataset).digest,
            "fitgap.split_digest": "split",
            "fitgap.user.question": NAME,
            "mlflow.source.git.commit": "c0ffee",
            "fitgap.git_dirty": "true",
        }
        if optimizer == "adam":
            tags["fitgap.sweep"] = "parent"
        metrics = []
        if status == "FINISHED":
            metrics = history_metrics(Metric, worse=0.25 if optimizer == "sgd" else 0.0, seed=seed)
        else:
            tags["fitgap.failure"] = REASON
        info = client.create_run(experiment, run_name=NAME).info
        run = info.run_id
        write_predictions(info.artifact_uri, optimizer=optimizer)
        client.log_batch(run, metrics=metrics)
        for start in range(0, len(params), 100):  # as many as MLflow takes at once
            client.log_batch(run, params=params[start : start + 100])
        client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])
        client.set_terminated(run, status)


def write_predictions(artifact_uri, *, optimizer):
    """Adam mistakes the first 20 digits, seven of them as the class 1; sgd's file is damaged."""
    folder = Path(urlparse(artifact_uri).path)
    folder.mkdir(parents=True)
    if optimizer == "sgd":
        (folder / "predictions.npz").write_text("damaged")
        return
    digits = datasets.load(schema.DatasetConfig(name="digits"))
    predicted = digits.y_test.copy()
    predicted[:20] = (predicted[:20] + 1) % 10
    probabilities = np.eye(10, dtype=np.float32)[predicted] * 0.75 + 0.025
    probabilities[7] *= 0.9
    probabilities[3] += 0.025
    predictions.save(folder, true=digits.y_test, probabilities=probabilities)


def history_metrics(metric, *, worse, seed):
    """Return three epochs; a run of seed 1 went back to the weights of its second."""
    rows = []
    for epoch, ((train_loss, train), (val_loss, val)) in enumerate(
        zip(TRAIN, VAL, strict=True), start=1
    ):
        rows += [("train/loss", train_loss, epoch), ("train/accuracy", train - worse, epoch)]
        rows += [("val/loss", val_loss, epoch), ("val/accuracy", val - worse, epoch)]
        rows += [("gap/accuracy", train - val, epoch), ("running/loss", train_loss, epoch)]
    if seed == 1:
        rows += [("train/loss", 0.5, 4), ("train/accuracy", 0.75, 4), ("gap/accuracy", 0.125, 4)]
        rows += [("val/loss", 0.75, 4), ("val/accuracy", 0.625, 4)]
    rows += [("test/accuracy", 0.5 + seed / 4, 4), ("best_epoch", 2, 4)]
    return [metric(key, value, 1, step) for key, value, step in rows]


@pytest.fixture(scope="module")
def report(record):
    return report_on(record, experiment="fitgap")


def test_histories_are_the_same_from_the_tables_and_from_the_client(record, monkeypatch):
    monkeypatch.setattr(server, "check", lambda _uri: None)
    runs = store.find_runs(record, experiment="fitgap", statuses=("FINISHED", "FAILED"))
    asked = {"run_ids": [run.run_id for run in runs], "keys": ["val/loss", "unknown"]}
    found = store.metric_histories(record, **asked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert server.metric_histories(record, **asked) == found
    by_seed = {(r.params["optimizer.name"], r.params["seed"]): found[r.run_id] for r in runs}
    assert by_seed["adam", "0"] == {"val/loss": {1: 1.0, 2: 0.75, 3: 1.0}}
    assert by_seed["adam", "1"] == {"val/loss": {1: 1.0, 2: 0.75, 3: 1.0, 4: 0.75}}
    assert by_seed["sgd", "0"] == {}


def test_histories_of_no_store_are_empty(tmp_path):
    uri = f"sqlite:///{tmp_path / 'missing.db'}"
    assert store.metric_histories(uri, run_ids=["a"], keys=["val/loss"]) == {"a": {}}
    assert list(tmp_path.iterdir()) == []


def test_the_saved_weights_are_no_epoch_of_the_curves(report):
    (section,) = report.sections
    adam, sgd = section.shown
    assert (adam.label, sgd.label) == ("adam", "sgd")
    curve = curve_of(sgd.group, "val/loss", section.histories)
    assert curve.mean == (1.0, 0.75, 1.0)
    # One seed kept its last epoch (accuracy 1 and 0.75), the other went back to its second.
    assert adam.group.metrics["gap/accuracy"].mean == (0.25 + 0.125) / 2
    # Gaps of 0.25 and 0.125: two seeds do not show that they are no chance.
    assert (adam.verdict.word, adam.verdict.reason) == ("fits", "the gap may be chance")


def test_the_command_composes_to_the_recorded_settings(record):
    runs = store.find_runs(record, experiment="fitgap")
    (run,) = (run for run in runs if run.params["optimizer.name"] == "sgd")
    changed = {
        "architecture.units": "[64, 32]",
        "training.schedule._target_": "keras.optimizers.schedules.CosineDecay",
        "training.schedule.initial_learning_rate": "0.5",
        "training.schedule.decay_steps": "null",
        "training.schedule.alpha": "0.0",
        "optimizer.learning_rate": "0.5",
    }
    other = replace(run, params=dict(run.params))
    run.params.update(changed)
    start = (
        "fitgap train dataset=digits split=holdout architecture=dense_relu_100 "
        "optimizer=sgd loss=sparse_categorical_crossentropy "
    )
    # The second lacks what the first changes, and needs a command of its own all the same.
    assert repeat_command.commands_of([[run], [other]]) == [
        f"{start}training/schedule=cosine 'architecture.units=[64, 32]' "
        "optimizer.learning_rate=0.5 training.epochs=3 "
        "training.schedule.initial_learning_rate=0.5 seed=1",
        *repeat_command.commands_of([[other]]),
    ]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("numbers", ["dataset=npz", "dataset.path=/data/a.npz", "split.group=patient"]),
        ("numbers", ["dataset=npz", "dataset.path='/data/a b, (1).npz'"]),
        ("classes", ["dataset=npz", "dataset.path=x.npy", "dataset.label_path=y.npy"]),
        ("classes", ["dataset=npz", "dataset.path=a.npz", "dataset.keys={x_train: 'a b'}"]),
        ("label_sets", ["dataset=csv", "dataset.path=a.csv", "dataset.label=[b,'Größe']"]),
        ("numbers", ["dataset=table", "dataset.path=a.csv", "dataset.label=price"]),
        ("classes", ["dataset=function", "dataset.function={_target_: my.load, n: 400}"]),
        ("classes", ["dataset=image_folder", "dataset.path='비교'", "dataset.bits=12"]),
    ],
)  # fmt: skip
def test_runs_of_own_data_have_a_command_too(task, words, compose, tmp_path, monkeypatch):
    (tmp_path / "my.py").write_text("def load(n):\n    return n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = compose(*words, "seed=3", task=task)
    flat = config.recorded(settings)
    params = {key: parameters.to_text(value) for key, value in flat.items()}
    run = StoredRun("0" * 32, "run", "FINISHED", 0, params, {}, {})
    [command] = repeat_command.commands_of([[run]])
    typed = overrides.for_hydra(shlex.split(command)[2:])
    assert compose(*typed, task=task) == settings


@pytest.mark.parametrize(
    "words",
    [
        ["architecture=my.net", "architecture.width=8"],
        ["optimizer=keras.optimizers.Lion", "optimizer.beta_1=0.8"],
        ["loss=my.cost", "loss.function.weight=2"],
    ],
    ids=["architecture", "optimizer", "loss"],
)
def test_runs_of_a_function_without_a_file_have_a_command_too(
    words, compose, tmp_path, monkeypatch
):
    (tmp_path / "my.py").write_text("def net(x, width):\n    return x\n\ndef cost(weight): ...\n")
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    settings = compose(*overrides.for_hydra([*words, "seed=3"]))
    flat = config.recorded(settings)
    params = {key: parameters.to_text(value) for key, value in flat.items()}
    run = StoredRun("0" * 32, "run", "FINISHED", 0, params, {}, {})
    [command] = repeat_command.commands_of([[run]])
    assert words[0] in shlex.split(command)
    assert compose(*overrides.for_hydra(shlex.split(command)[2:])) == settings


@pytest.mark.parametrize(
    "change",
    [
        {"architecture.name": "run", "architecture._target_": "subprocess.run"},
        {"training.callbacks.x._target_": "subprocess.check_call"},
        {"training.callbacks.x._target_": "keras.callbacks.CSVLogger"},
        {"dataset.path": "${oc.env:HOME}"},
    ],
)
def test_no_command_that_would_run_as_ones_own_what_a_record_may_not_name(change, compose):
    flat = config.recorded(compose("dataset=npz", "dataset.path=a.npz", "seed=3"))
    params = {key: parameters.to_text(value) for key, value in flat.items()} | change
    run = StoredRun("0" * 32, "run", "FINISHED", 0, params, {}, {})
    assert repeat_command.commands_of([[run]]) == [None]


def test_a_command_is_of_the_options_as_they_are_now(compose, tmp_path, monkeypatch):
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    option = tmp_path / "conf" / "architecture" / "mine.yaml"
    option.parent.mkdir(parents=True)
    packaged = (project.CONFIG_DIR / "architecture" / "dense_relu_100.yaml").read_text()
    flat = config.recorded(compose("architecture=dense_relu_100"))
    params = {key: parameters.to_text(value) for key, value in flat.items()}
    run = StoredRun("0" * 32, "", "FINISHED", 0, params | {"architecture.name": "mine"}, {}, {})
    option.write_text(packaged.replace("dense_relu_100", "mine"))
    [command] = repeat_command.commands_of([[run]])
    assert "units" not in command
    option.write_text(option.read_text().replace("[100]", "[16]"))
    [command] = repeat_command.commands_of([[run]])
    assert "architecture.units=[100]" in command


@pytest.mark.parametrize(
    "change",
    [
        {"split.name": "gone"},
        {"training.threads": None},
        {"architecture.activation": line("two\nlines")},
        {"architecture.activation": line("x" * 20_000)},
    ],
)
def test_no_command_where_the_settings_of_today_do_not_give_the_recorded_ones(record, change):
    run = store.find_runs(record, experiment="fitgap")[0]
    assert repeat_command.commands_of([[run]]) != [None]
    changed = {key: value for key, value in (run.params | change).items() if value is not None}
    assert repeat_command.commands_of([[replace(run, params=changed)]]) == [None]


def test_a_value_alone_still_has_a_range():
    low, high = interval_bars.limits_with_zero([Estimate(0.0, None, None, None, 1)])
    assert low < 0.0 < high


class Page(HTMLParser):
    """What the tests ask of a page: elements, their attributes, text."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def count(self, tag, css=""):
        wanted = set(css.split())
        return sum(
            found == tag and wanted <= set((attributes.get("class") or "").split())
            for found, attributes in self.elements
        )


@pytest.fixture(scope="module")
def html(report):
    return to_html(report)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_every_element_is_closed_in_order(page):
    assert page.open == []


def test_the_page_shows_every_group_with_its_figures(page):
    for text in (
        "adam",
        "sgd",
        "0.6875",
        "+0.1875",
        "n\xa0=\xa02",
        "overfitting",
        "underfitting",
        "c0ffee",
    ):
        assert text in page.text
    assert page.text.count("optimizer=adam") == 1  # the command
    assert "with changes that were not committed" in page.text


def test_the_page_gives_the_test_figure_of_the_selected_group_alone(page):
    assert page.text.count("test accuracy,") == 1
    assert "0.6250" in page.text  # of adam, mean of 0.5 and 0.75
    assert "0.5000 test" not in page.text


def test_every_picture_is_there(page):
    # Accuracy and loss of all groups, accuracy against gap, the parts of the variance, the
    # calibration; a bar for each gap, and for each level of the optimizer's effects on both.
    assert (page.count("svg", "plot"), page.count("svg", "bar")) == (5, 2 + 2 * 2)
    assert page.count("img") == 12


def test_the_pictures_hold_the_figures_of_every_group(report):
    (section,) = report.sections
    drawn = page_pictures.of_section(section.section, section.histories, section.variances)
    assert [one.kind for one in drawn] == ["curves", "curves", "gap", "variance"]
    data = json.loads(drawn[0].data)
    rows = [row for rows in data["datasets"].values() for row in rows]
    assert {row["group"] for row in rows if "group" in row} == {"adam", "sgd"}
    assert max(row.get("x", 0) for row in rows) == 3  # the step after the last is no epoch


def test_what_does_not_fit_into_the_page_is_not_interactive(report):
    (section,) = report.sections
    drawn = page_pictures.of_section(section.section, section.histories, section.variances)
    ((first, *_), _) = page_pictures.within([drawn, []])
    assert first.data
    large = [replace(one, data="x" * page_pictures.MOST_DATA) for one in drawn]
    (kept,) = page_pictures.within([large])
    assert [bool(one.data) for one in kept] == [True, False, False, False]


def test_names_within_pictures_are_the_pages_own(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]+)\)", html.partition("<script>")[0])
    assert set(used) <= set(ids)


def test_names_tags_and_reasons_are_text_and_nothing_else(html, page):
    assert NAME in page.text
    assert REASON in page.text
    assert f"question={NAME}" in page.text
    assert "<img src=x" not in html
    assert html.count("<script>") == 2  # Vega's and the page's own; the others are data
    assert page.count("script") == 2 + 4


def test_the_page_loads_nothing(page):
    for _, attributes in page.elements:
        assert not {"href", "srcset", "xlink:href"} & set(attributes)
        assert attributes.get("src", "data:").startswith("data:")
    assert page.count("link") == 0
    assert "default-src 'none'" in str(page.elements)
    loaded = re.sub(r"url\(#[^)]+\)", "", str(page.elements))
    assert not any(text in loaded for text in ("url(", "http:", "https:"))


def test_groups_are_marked_and_held_against_the_best(report, page):
    (section,) = report.sections
    adam, sgd = section.shown
    # One common seed: nobody is shown to be best.
    assert (adam.mark, sgd.mark) == ("", "?")
    assert sgd.group.against_best.common == 1
    assert "cannot be tested" in page.text


def test_errors_of_the_selected_model_are_shown(report, page):
    (section,) = report.sections
    model = section.model
    # Of the two seeds the one with the higher validation accuracy.
    assert model.run.params["seed"] == "0"
    assert (model.wrong, len(model.errors), model.missing) == (20, 12, ())
    assert [error.index for error in model.errors[:3]] == [3, 0, 1]
    assert model.errors[0].pixels.shape == (8, 8)
    assert int(model.confusion.sum()) == 360
    assert int(np.trace(model.confusion)) == 340
    assert "12 of 20 wrong test samples" in page.text


def test_a_damaged_file_is_said_and_the_rest_of_the_report_stands(report, page):
    (section,) = report.sections
    assert section.shown[1].tested.found is None
    assert "predictions.npz of run" in page.text
    assert "cannot be read" in page.text


def test_without_predictions_the_page_says_why(record):
    found = report_on(record, experiment="fitgap", query=Query(where=("optimizer=sgd",)))
    page = Page(to_html(found))
    assert "No confusion matrix and no errors" in page.text
    assert page.count("table", "confusion") == 0


def test_without_the_data_errors_are_shown_without_images(record, monkeypatch):
    monkeypatch.setattr(readers, "fingerprint", lambda _settings: None)
    (section,) = report_on(record, experiment="fitgap").sections
    assert section.model.errors[0].pixels is None
    assert "not on this machine" in section.model.missing[0]
    assert section.model.class_names == tuple("0123456789")


def test_a_report_of_averaged_groups_has_no_commands(record):
    found = report_on(record, experiment="fitgap", query=Query(by=("loss",)))
    assert found.command.endswith("--by loss")
    page = Page(to_html(found))
    assert page.open == []
    assert "a group contains runs with different settings" in page.text


def test_a_report_can_be_of_one_sweeps_children(record):
    found = report_on(record, experiment="fitgap", query=Query(sweep="parent"))
    (section,) = found.sections
    assert [run.params["optimizer.name"] for run in section.shown[0].group.runs] == ["adam"] * 2
    assert len(section.shown) == 1
    assert found.failures == ()
    with pytest.raises(RequestError, match="no finished run of the sweep gone"):
        report_on(record, experiment="fitgap", query=Query(sweep="gone"))


def test_a_report_is_written_for_others(record, tmp_path):
    path = tmp_path / "new folder" / "보고서.html"
    report_page.write(path, uri=record, experiment="fitgap")
    assert path.read_text(encoding="utf-8").endswith("</html>")


@pytest.fixture
def run_script(script, record, tmp_path, monkeypatch):
    """Return a function that runs scripts/report.py on the record, in the test's folder."""
    monkeypatch.chdir(tmp_path)
    return partial(script, "report.py", "--uri", record)


def test_the_script_writes_a_file_and_says_where(run_script, tmp_path):
    code, said = run_script()
    assert (code, said.out) == (0, "report: reports/fitgap.html\n")
    text = (tmp_path / "reports" / "fitgap.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--experiment", "fitgep"], "did you mean 'fitgap'"),
        (["--sort", "val/acuracy"], "did you mean val/accuracy"),
        (["--output", "file/report.html"], "cannot be written"),
    ],
    ids=["experiment", "metric", "output"],
)
def test_a_wrong_request_is_refused(run_script, tmp_path, arguments, message):
    (tmp_path / "file").touch()
    code, said = run_script(*arguments)
    assert code == 2
    assert message in said.err


# Writes into the page what only a browser can tell; the page's own policy would not let it.
PROBE = """<script>
const drawn = [...document.querySelectorAll("svg")].filter((svg) => {
  const box = svg.getBoundingClientRect();
  const shapes = [...svg.querySelectorAll("polyline, polygon, path, circle, line")];
  return box.width > 0 && box.height > 0 && shapes.some((shape) => {
    const inner = shape.getBBox();
    return inner.width + inner.height > 0;
  });
});
document.querySelector("table.sortable th:last-child button").click();
const filter = document.querySelector(".filter input");
filter.value = "ADAM";
filter.dispatchEvent(new Event("input"));
const page = document.documentElement;
// What the keyboard reaches: each box that is wider than the screen, each column's head.
const reached = (element) => element.tabIndex >= 0;
page.dataset.reached = [...document.querySelectorAll(".scroll, th button")].every(reached);
page.dataset.drawn = drawn.length + " of " + document.querySelectorAll("svg").length;
page.dataset.fits = page.scrollWidth <= page.clientWidth;
page.dataset.filtered = document.querySelectorAll(".leaderboard tbody tr:not([hidden])").length;
page.dataset.images = [...document.images].filter((image) => image.naturalWidth === 8).length;
page.dataset.sorted = document.querySelectorAll("th[aria-sort]").length;
</script>"""


def browse(path, folder, *, width=400):
    return subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={folder}", "--enable-logging=stderr",
            f"--window-size={width},900", "--virtual-time-budget=30000",
            "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip


def with_probe(html, probe):
    """Return a page without its policy and with a script at its end."""
    start = html.index('<meta http-equiv="Content-Security-Policy"')
    open_page = html[:start] + html[html.index(">", start) + 1 :]
    inside, _, after = open_page.rpartition("</body>")  # Vega's script writes pages, too
    return inside + probe + "</body>" + after


AXE_PROBE = """
axe.run().then((found) => {
  const said = found.violations.map((one) => `${one.id}: ${one.nodes[0].html}`);
  const page = document.documentElement;
  page.dataset.passed = found.passes.length;
  page.dataset.violations = JSON.stringify(said);
});"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed in build/")
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_nothing_to_mend(html, tmp_path, width):
    path = tmp_path / "report.html"
    scripts = f"<script>{AXE.read_text(encoding='utf-8')}</script><script>{AXE_PROBE}</script>"
    path.write_text(with_probe(html, scripts), encoding="utf-8")
    done = browse(path, tmp_path / "profile", width=width).stdout
    assert int(re.search(r'data-passed="(\d+)"', done)[1]) > 20
    assert 'data-violations="[]"' in done


NARROW_PROBE = """<script>
const place = document.querySelector("[data-chart=parallel]");
place.scrollIntoView();
setTimeout(() => {
  const page = document.documentElement;
  page.dataset.drawn = place.querySelectorAll("div svg").length;
  page.dataset.scrolls = place.scrollWidth > place.clientWidth;
  page.dataset.fits = page.scrollWidth <= page.clientWidth;
}, 5000);
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_on_a_narrow_page_the_axes_of_settings_keep_their_distance(tracking_uri, tmp_path):
    generated_runs.fill(tracking_uri, runs=24)
    html = to_html(report_on(tracking_uri, experiment=generated_runs.EXPERIMENT))
    path = tmp_path / "report.html"
    path.write_text(with_probe(html, NARROW_PROBE), encoding="utf-8")
    done = browse(path, tmp_path / "profile").stdout
    assert 'data-drawn="1" data-scrolls="true" data-fits="true"' in done


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_draws_every_picture_without_a_complaint(html, page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    said = browse(path, tmp_path / "profile").stderr
    assert "CONSOLE" not in said
    path.write_text(with_probe(html, PROBE), encoding="utf-8")
    done = browse(path, tmp_path / "profile")
    assert "CONSOLE" not in done.stderr
    total = page.count("svg", "plot") + page.count("svg", "bar")
    assert f'data-drawn="{total} of {total}"' in done.stdout
    assert 'data-fits="true"' in done.stdout
    assert 'data-sorted="1"' in done.stdout
    assert 'data-reached="true"' in done.stdout
    assert 'data-filtered="1"' in done.stdout
    assert 'data-images="12"' in done.stdout


def test_a_report_without_validation_partition(train, tracking_uri):
    settings = (
        "split=none",
        "architecture=dense_softmax",
        "training.epochs=1",
        "training.xla=false",
    )
    assert train(*settings).code == 0
    html = to_html(report_on(tracking_uri, experiment="fitgap"))
    assert "there is no val/accuracy, and nothing to choose by" in html
    (run,) = store.find_runs(tracking_uri, experiment="fitgap")
    assert run.run_id in html
