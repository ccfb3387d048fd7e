"""Text of a record, and errors, as they are shown: plain, bounded, without secrets."""

import csv
import io
import json
import pickle
import shlex
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from mlflow import MlflowClient
from PIL import Image
from rich.console import Console

from fitgap import Study, console, experiment, store
from fitgap.charts import confusion, labels, run_curves, themes
from fitgap.commands import exit_codes
from fitgap.errors import RequestError, StoreAwayError, about
from fitgap.prediction import Predictions
from fitgap.report import data_page, page, prediction_tables
from fitgap.store import server
from fitgap.sweep import checking, progress, status
from fitgap.sweep import plan as sweep_plan
from fitgap.tracking import provenance
from fitgap.trust import text, text_tables

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\u200bend"
SHAPES = {"svg", "style", "rect", "g", "path", "text", "line", "defs", "clipPath", "title"}


def test_what_a_terminal_or_a_line_would_obey_is_shown_as_what_it_is():
    shown = text.plain(HOSTILE)
    assert shown.isprintable()
    assert shown.startswith("\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202egnp.exe")
    assert text.plain("a\r\x00b\u2028c\ud800") == "a\\r\\x00b\\u2028c\\ud800"


def test_every_line_that_is_printed_is_plain(capsys):
    console.say(f"{HOSTILE}\n\t한국어")
    console.warn(HOSTILE)
    said = capsys.readouterr()
    assert said.out == f"{text.plain(HOSTILE)}\n\t한국어\n"
    assert said.err == f"{text.plain(HOSTILE)}\n"


@pytest.mark.parametrize("harmless", ["첫 실험 (3)", "naïve — ½", "می‌خواهم", "👩‍🔬", "a\tb\nc"])
def test_text_of_any_language_stays_as_it_is(harmless):
    assert text.plain(harmless) == harmless


def test_endless_names_are_cut():
    assert len(text.plain("x" * 1_000_000)) == text.MOST_CHARACTERS
    assert text.plain("x" * 1_000_000).endswith("…")


def test_names_of_a_store_are_plain_when_they_are_read(tracking_uri):
    client = MlflowClient(tracking_uri)
    experiment_id = client.create_experiment("fitgap")
    run = client.create_run(experiment_id, run_name=HOSTILE, tags={"note": HOSTILE})
    client.log_param(run.info.run_id, "dataset.name", HOSTILE)
    client.set_terminated(run.info.run_id)
    (found,) = store.find_runs(tracking_uri, experiment="fitgap")
    for shown in (found.name, found.tags["note"], found.params["dataset.name"]):
        assert shown == text.plain(HOSTILE)


NAMES = [
    HOSTILE,
    "a\nto continue: rm x\r\nb\u2028c\tend",
    "</script><script>alert(1)</script>",
    "[bold red]x[/] [/nope] :smile:",
    "a\\",
    'a\\" + 1 + "',
    "%s {0} ${oc.env:HOME}",
    "$(touch x) `touch x` ' \"",
    "w" * 6000,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_store_begins_no_line(tracking_uri, name):
    client = MlflowClient(tracking_uri)
    tags = {"note": name, "fitgap.role": "sweep"}
    run = client.create_run(client.create_experiment(name[:200]), run_name=name[:200], tags=tags)
    client.log_param(run.info.run_id, "dataset.name", name)
    (found,) = store.find_runs(tracking_uri, experiment=name[:200], statuses=store.ANY_STATUS)
    texts = [found.name, *found.tags.values(), *found.params.values()]
    assert all(text.line(each) == each and len(each.splitlines()) == 1 for each in texts)
    assert server.as_stored(client.get_run(run.info.run_id)) == found


@pytest.mark.parametrize("name", NAMES)
def test_a_sweeps_state_has_as_many_lines_whatever_it_is_called(tracking_uri, capsys, name):
    client = MlflowClient(tracking_uri)
    tags = {"fitgap.role": "sweep", "fitgap.failure": name}
    client.create_run(client.create_experiment(name[:200]), run_name=name[:200], tags=tags)
    progress.show_all(tracking_uri)
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_as_text_and_no_larger_than_a_page(name):
    curve = {1: 0.5, 2: 0.6}
    drawn = run_curves.draw({f"train/{name}": curve, f"val/{name}": curve}, title=name)
    svg = drawn.svg()
    root = ElementTree.fromstring(svg)
    assert text.plain(svg, most=len(svg)) == svg
    assert max(float(root.attrib[side]) for side in ("width", "height")) < 1200
    assert {child.tag.rpartition("}")[2] for child in root.iter()} <= SHAPES


@pytest.mark.parametrize("name", NAMES)
def test_a_command_with_a_name_from_a_store_is_one_word_of_a_shell(tracking_uri, name):
    client = MlflowClient(tracking_uri)
    tags = {"fitgap.role": "sweep", "fitgap.host": name}
    client.create_run(client.create_experiment("fitgap"), run_name="sweep", tags=tags)
    sweep = status.choose_sweep(tracking_uri, run_id=None)
    with pytest.raises(RequestError) as refused:
        checking.refuse_running(sweep.parent, uri=tracking_uri)
    *_, command = str(refused.value).partition("If that host is gone: ")
    assert shlex.split(command)[-2:] == ["--assume-dead", text.line(name)]


@pytest.mark.parametrize("name", NAMES)
def test_code_in_markdown_ends_where_the_text_does(name):
    (block,) = MarkdownIt().parse(text.markdown_code(name))[1:2]
    (code,) = block.children
    assert (code.type, code.content.strip()) == ("code_inline", text.line(name).strip())


def test_a_name_is_shortened_without_a_look_at_every_end_of_it(monkeypatch):
    looked_at = []
    measure = labels.width_of
    monkeypatch.setattr(labels, "width_of", lambda text: looked_at.append(text) or measure(text))
    name = "w" * 6000 + "".join(f"a{i}." for i in range(1000)) + "="
    assert len(labels.shortened(name, most=48)) == 47
    assert sum(map(len, looked_at)) < 10 * len(name)


def test_what_draws_gets_no_very_long_name():
    name = "w" * 6000
    counts = {"train": {f"{name}a{name}": 1, f"{name}b{name}": 2}}
    curve = {1: 0.5, 2: 0.6}
    for drawn in (
        run_curves.draw({f"train/{name}": curve, f"val/{name}": curve}, title=name),
        data_page.class_shares(counts),
        confusion.draw(np.eye(2, dtype=np.int64), list(counts["train"])),
    ):
        assert "w" * 300 not in json.dumps(drawn.spec())
    classes = {row["class"] for row in data_page.class_shares(counts).chart.data["values"]}
    assert len(classes) == 2


def test_a_page_of_a_hostile_experiment_is_plain(tracking_uri, tmp_path):
    client = MlflowClient(tracking_uri)
    name = f"<script>alert(1)</script>{HOSTILE}"
    run = client.create_run(client.create_experiment(name), run_name=name)
    client.log_metric(run.info.run_id, "val/accuracy", 0.5)
    client.set_terminated(run.info.run_id)
    page.write(tmp_path / "report.html", uri=tracking_uri, experiment=name)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert text.plain(HOSTILE) in html
    assert HOSTILE not in html


def test_classes_and_files_of_hostile_names_are_plain_where_predictions_are_shown():
    name = f"{HOSTILE}\nend"
    found = Predictions(
        sources=[Path(f"{name}.png")],
        images=None,
        labels=None,
        outputs=np.array([[0.9, 0.1]], np.float32),
        class_names=[name, "b"],
    )
    terminal = Console(file=io.StringIO(), width=300)
    terminal.print(prediction_tables.to_table(found))
    shown = terminal.file.getvalue()
    assert text.plain(shown) == shown
    assert shown.count(text.line(name)) == 2
    drawn = confusion.draw(np.eye(2, dtype=np.int64), [name, "b"]).svg(themes.LIGHT)
    assert text.plain(drawn, most=len(drawn)) == drawn


@pytest.mark.parametrize("formula", ["=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1"])
def test_a_spreadsheet_takes_no_setting_for_a_formula(formula):
    lines = text_tables.to_csv(["setting", "value"], [[formula, -0.5], ["-0.25", 1]])
    rows = list(csv.reader(io.StringIO(lines)))
    assert rows[1] == [f"'{formula}", "-0.5"]
    assert rows[2] == ["-0.25", "1"]


SECRETS = {
    "postgresql://ada:it's@p/ss@db/x": "it's",
    "https://h/d?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE&X-Amz-Signature=f00dbeef": "f00dbeef",
    "https://acc.blob.core.windows.net/c/f?sv=1&sig=Zm9vYmFy": "Zm9vYmFy",
    'password = "correct horse"': "horse",
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENG": "wJalr",
    "api_key: 0123456789abcdef": "0123456789abcdef",
    "Authorization: Bearer abcdefghijklmnop": "abcdefghijklmnop",
    "headers:{Authorization:abcdefgh}": "abcdefgh",
    "aws_access_key_id='AKIAXX7EXAMPLE'": "AKIAXX7",
    "Server=db;User Id=ada;Pwd=hunter22;": "hunter22",
    "AccountName=ada;AccountKey=abcdefgh==": "abcdefgh",
    'curl -s -u ada:hunter22 "https://h/x"': "hunter22",
    "curl --user=ada:hunter22 https://h/x": "hunter22",
    "upload --password hunter22 file": "hunter22",
    "machine h login ada password hunter22": "hunter22",
    "hf_abcdefghijklmnopqrst": "abcdefghijklmnopqrst",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "abcdefghij",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----": "MIIEow",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl": "c2lnbmF0dXJl",
}


def test_a_secret_of_the_environment_is_not_shown_under_any_name(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_TOKEN", "Hunter22Secret")
    monkeypatch.setenv("POSTGRES_PASSWORD", "postgres")
    monkeypatch.setenv("PWD", str(tmp_path))
    assert text.without_secrets(f"{tmp_path}/mlflow.db") == f"{tmp_path}/mlflow.db"
    assert text.scrub({"note": "see Hunter22Secret"}) == {"note": "see ***"}
    assert text.without_secrets("postgresql://db/x") == "postgresql://db/x"


@pytest.mark.parametrize("given", SECRETS)
def test_secrets_are_not_shown(given):
    assert SECRETS[given] not in text.without_secrets(given)
    assert text.HIDDEN in text.without_secrets(given)


@pytest.mark.parametrize(
    "harmless",
    [
        "training.epochs=5 tokenizer: bpe num_tokens: 512 max_tokens=1000",
        "sqlite:////tmp/a b/mlflow.db",
        "http://127.0.0.1:5000/path?experiment=3",
        "token = os.environ['TOKEN']",
        "key=value monkey=banana",
        "docker run -u 1000:1000 image",
        "pwd = os.getcwd() cwd=/tmp/folder",
    ],
)
def test_what_is_no_secret_stays(harmless):
    assert text.without_secrets(harmless) == harmless


def test_settings_are_scrubbed_by_name_and_by_value():
    scrubbed = text.scrub(
        {"tags": {"api_key": "abc", "note": "x"}, "path": "s3://u:pw@h/x", "n": 3, "k": [None, 1.5]}
    )
    assert scrubbed == {
        "tags": {"api_key": "***", "note": "x"},
        "path": "s3://***@h/x",
        "n": 3,
        "k": [None, 1.5],
    }


@pytest.mark.parametrize(
    "name",
    ["tags.api_key", "accessToken", "PGPASSWORD", "MYSQL_PWD", "x.credentials.user", "a_token"],
)
def test_names_of_secrets_are_told(name):
    assert text.is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "architecture.oov_token", "cls_token", "credentials._target_", "compass"],
)
def test_other_names_are_none_of_a_secret(name):
    assert not text.is_secret_name(name)


def test_numbers_and_what_stands_below_a_secrets_name_are_hidden():
    settings = {
        "pin_password": 12345678987,
        "start_token": 1234567,
        "token": {"_target_": "a.B", "value": "x", "parts": ["y", {"z": "z"}]},
        "token_ids": 7,
        "password": 3,
    }
    assert text.scrub(settings) == {
        "pin_password": "***",
        "start_token": 1234567,
        "token": {"_target_": "a.B", "value": "***", "parts": ["***", {"z": "***"}]},
        "token_ids": 7,
        "password": 3,
    }
    assert text.scrub("x", "callbacks.a.credentials.user") == "***"


def test_a_secret_of_the_settings_is_not_shown_wherever_it_is_repeated(monkeypatch):
    monkeypatch.setattr(text, "_of_settings", set())
    text.remember_secrets({"a": {"api_key": "Hunter22Secret", "width": 512}, "token": ["common"]})
    assert text.without_secrets("no Hunter22Secret here, 512") == "no *** here, 512"
    assert text.without_secrets("a common word") == "a common word"


def test_a_plan_keeps_no_secret():
    job = sweep_plan.PlannedJob("a", "id", ["tags.token=abcd", "dataset.path=s3://u:pw@h/x"], None)
    nested = "+training.callbacks.x={headers: {Authorization: nested99}}"
    hydra = ["hydra.launcher.setup=[export API_TOKEN=launcher7]"]
    plan = sweep_plan.SweepPlan(hydra, ["tags.password=hunter22", nested], 1, True, [job])
    written = sweep_plan.to_json(plan)
    assert "hunter22" not in written
    assert "nested99" not in written
    assert "launcher7" not in written
    assert "abcd" not in written
    assert "u:pw" not in written


def test_uncommitted_changes_are_recorded_without_secrets():
    diff = provenance.recorded_diff('+API_KEY = "0123456789abcdef"\n+x = 1\n', [])
    assert diff == "+API_KEY = ***\n+x = 1\n"


@pytest.mark.parametrize("name", NAMES)
def test_an_error_has_as_many_lines_as_it_was_given_whatever_names_it_repeats(name):
    error = RequestError(f"no column {name}", f"leave {name} out")
    with pytest.raises(RequestError) as raised, about(f"dataset.path={name}"):
        raise error
    again = pickle.loads(pickle.dumps(raised.value))
    for each in (raised.value, again, StoreAwayError(name)):
        lines = str(each).split("\n")
        assert lines == str(each).splitlines() == list(each.args)
        assert [text.line(each) for each in lines] == lines
    assert len(str(again).splitlines()) == 2


@pytest.fixture
def hostile_data(tmp_path):
    """Return the settings of data that cannot be read, and whose names would begin a line."""
    name = f"a\nerror: forged{HOSTILE}"
    table = pd.DataFrame({name: range(9), "b": range(9)})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        content = io.BytesIO()
        np.save(content, np.zeros(9))
        archive.writestr(f"{name}.npy", content.getvalue())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"../{name}.png", "no image")
    (tmp_path / "images" / "train" / name / name).mkdir(parents=True)
    (tmp_path / "images" / "train" / name / name / f"{name}.png").touch()
    (tmp_path / "broken" / name).mkdir(parents=True)
    (tmp_path / "broken" / "other").mkdir()
    for folder in (tmp_path / "broken" / name, tmp_path / "broken" / "other"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "0.png")
        (folder / f"{name}.png").write_text("no image")
    endless = pd.DataFrame({"w" * 1_000_000: range(9), "b": range(9)})
    endless.to_parquet(tmp_path / "endless.parquet")
    return {
        "csv": ["dataset=csv", f"dataset.path={tmp_path}/a.csv", "dataset.label=c"],
        "parquet": ["dataset=table", f"dataset.path={tmp_path}/a.parquet", "dataset.label=c"],
        "npz": ["dataset=npz", f"dataset.path={tmp_path}/a.npz"],
        "zip": ["dataset=image_folder", f"dataset.path={tmp_path}/a.zip"],
        "images": ["dataset=image_folder", f"dataset.path={tmp_path}/images"],
        "broken": [
            "dataset=image_folder",
            f"dataset.path={tmp_path}/broken",
            "dataset.image_size=[8,8]",
        ],
        "endless": ["dataset=table", f"dataset.path={tmp_path}/endless.parquet", "dataset.label=c"],
    }


@pytest.mark.parametrize("command", ["train.py", "data_report.py"])
def test_names_of_data_begin_no_line_of_an_error(hostile_data, tracking_uri, script, command):
    for kind, words in hostile_data.items():
        code, said = script(command, *words, f"tracking.uri={tracking_uri}")
        assert code == 2, kind
        assert said.err.startswith("error: "), kind
        lines = said.err.rstrip("\n").split("\n")
        assert len(lines) <= 2, kind
        lines += said.out.rstrip("\n").split("\n")  # the data report lists unreadable images
        assert len(lines) <= 4, kind
        assert max(map(len, lines)) < 2_100, kind
        assert all(text.line(each) == each for each in lines), kind
        assert not any(each.startswith("error: forged") for each in lines), kind


def test_names_of_data_begin_no_line_of_an_error_in_python(tmp_path):
    frame = pd.DataFrame({f"a\nerror: forged{HOSTILE}": range(9), "b": range(9)})
    with pytest.raises(RequestError) as raised:
        Study("x", data=frame, label="c", uri=f"sqlite:///{tmp_path}/m.db")
    lines = str(raised.value).splitlines()
    assert len(lines) == 2
    assert "".join(lines).isprintable()


def test_a_remark_about_data_is_one_line(tmp_path, compose, tracking_uri):
    name = f"a\ndata: forged{HOSTILE}"
    cells = {name: [[1]] * 20, "b": range(20), "c": [0, 1] * 10}
    pd.DataFrame(cells).to_parquet(tmp_path / "a.parquet")
    words = ["dataset=table", f"dataset.path={tmp_path}/a.parquet", "dataset.label=c"]
    config = compose(*words, f"tracking.uri={tracking_uri}", task=None)
    remarks = experiment.remarks(experiment.plan(config))
    assert any("\\ndata: forged" in remark for remark in remarks)
    assert all(text.line(remark) == remark for remark in remarks)


def test_errors_are_plain_and_without_secrets(capsys):
    error = RequestError(f"no run {HOSTILE} in https://ada:pw12@host/ (token=abcdefgh)")
    assert exit_codes.report(error) == 2
    said = capsys.readouterr().err
    assert said.rstrip("\n").isprintable()
    assert "pw12" not in said
    assert "abcdefgh" not in said
