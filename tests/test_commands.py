"""The command ``fitgap``: its subcommands, their help, and what Hydra gets to read."""

import contextlib
import subprocess
import sys

import click
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fitgap import __version__
from fitgap.commands import main, overrides, settings_help
from fitgap.errors import RequestError

HEAVY = ("tensorflow", "keras", "mlflow", "altair", "scipy", "pandas", "sklearn")


def fitgap(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "fitgap", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs the command in this process."""

    def run_here(*words):
        monkeypatch.setattr(sys, "argv", ["fitgap", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main.main()
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    return run_here


def test_the_version_is_the_packages(run):
    assert run("--version") == (0, f"fitgap {__version__}\n", "")


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_without_a_subcommand_all_are_listed(run, words):
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    for name in main.group.list_commands(None):
        assert f"  {name} " in out


@pytest.mark.parametrize("name", main.group.list_commands(None))
def test_each_subcommand_explains_itself(run, name):
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: fitgap {name}")


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_the_help_fits_a_terminal_of_80_columns(run, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(name, "--help")
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert "..." not in out.partition("Commands:")[2]  # a short help that was cut


def test_every_option_of_a_command_has_its_phrase():
    group = main.group
    context = click.Context(group)
    options = [
        (name, one.name, getattr(one, "help", None))
        for name in main.COMMANDS
        for one in group.get_command(context, name).params
        if isinstance(one, click.Option)
    ]
    assert len(options) > 20
    assert [option[:2] for option in options if not option[2]] == []


def test_help_waits_for_no_heavy_import():
    names = main.group.list_commands(None)
    code = (
        "import sys\nfrom fitgap.commands.main import group\n"
        f"for name in {names!r}:\n"
        "    try: group.main([name, '--help'], standalone_mode=False)\n"
        "    except SystemExit: pass\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


def test_a_comparison_executes_no_part_of_numpy_that_builds_or_tests_others():
    code = (
        "import sys, fitgap.comparison.ranking\n"
        "print('scipy.special' in sys.modules, 'numpy.f2py.f2py2e' in sys.modules,"
        " 'numpy.testing._private' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["True", "False", "False"]


def test_a_misspelt_subcommand_gets_the_nearest_name(run):
    code, out, err = run("comprae")
    assert (code, out) == (2, "")
    assert err == (
        "error: comprae: there is no such command; did you mean compare?\n"
        "Its options: fitgap --help\n"
    )


def test_a_misspelt_option_is_refused_in_two_lines(run):
    code, out, err = run("compare", "--sortt", "x")
    assert (code, out) == (2, "")
    assert err.startswith("error: No such option")
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "nearest"),
    [(["plot", "curve"], "curves"), (["compare", "--format", "jsn"], "json")],
    ids=["argument", "option"],
)
def test_a_misspelt_choice_gets_the_nearest_word(words, nearest, run):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.splitlines()[0].endswith(f"got {words[-1]}; did you mean {nearest}?")
    assert len(err.splitlines()) == 2


def test_several_words_after_by_are_several_settings(monkeypatch, run):
    from fitgap.comparison import ranking

    asked = []

    def compare(_uri, **given):
        asked.append(given["query"])
        raise RequestError("enough")

    monkeypatch.setattr(ranking, "compare_experiment", compare)
    assert run("compare", "--by", "optimizer", "seed", "--sort", "val/loss", "--by=loss")[0] == 2
    (query,) = asked
    assert query.by == ("optimizer", "seed", "loss")
    assert query.sort == "val/loss"


@pytest.mark.parametrize("printer", ["print", "rich.print"])
def test_a_reader_that_closes_the_pipe_is_no_error(printer):
    # More than a pipe holds, so that writing meets the closed end.
    code = (
        "import rich\nfrom fitgap.commands import exit_codes\n"
        f"def much():\n    {printer}('x ' * 100_000)\n"
        "exit_codes.run_command(much)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


def test_a_run_that_a_closed_pipe_has_ended_is_no_success(tmp_path):
    words = ["train", "training.epochs=300", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    with subprocess.Popen(
        [sys.executable, "-m", "fitgap", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read().startswith(b"failed: BrokenPipeError")
        assert process.wait(timeout=60) == 1


# What Hydra gets to read.


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (["optimizer=sgd,adam", "-m", "seed=0,1"], ["-m", "optimizer=sgd,adam", "seed=0,1"]),
        (["seed=1", "--cfg", "job", "name=a"], ["--cfg", "job", "seed=1", "name=a"]),
        (["seed=1", "--multirun"], ["--multirun", "seed=1"]),
    ],
)
def test_flags_may_stand_anywhere(typed, given):
    assert overrides.for_hydra(typed) == given


@pytest.mark.parametrize(
    "value",
    ["/x/shots (2)", "비교 실험", "x=1", "Größe", "archive(3)", "C:\\new (1)", "it's (b)", "a\\"],
)
def test_plain_text_that_hydra_cannot_read_arrives_as_it_was_typed(value):
    (override,) = overrides.for_hydra([f"name={value}"])
    assert OverridesParser.create().parse_override(override).value() == value


@pytest.mark.parametrize("override", ["optimizer.use_ema=true", "training.schedule.warmup_steps=9"])
def test_settings_of_keras_that_no_option_lists_need_no_plus(override):
    assert overrides.for_hydra([override]) == [f"++{override}"]


@pytest.mark.parametrize(
    ("override", "is_taken"),
    [
        ("callbacks.notify.token=***", False),
        ("dataset.path=https://***@host/x", False),
        ("tags.note=***", True),
    ],
)
def test_what_stands_for_a_secret_in_a_printed_command_is_not_taken_for_it(override, is_taken):
    refused = contextlib.nullcontext()
    if not is_taken:
        refused = pytest.raises(RequestError, match="stands for a secret; give its value")
    with refused:
        overrides.for_hydra([override])


@pytest.mark.parametrize(
    "override",
    [
        *("optimizer=sgd,adam", "seed=range(0,3)", "name='a (b)'", "tags={a: b}", "x=[1,2]"),
        *("seed=1", f"seed={','.join(map(str, range(999)))}"),
    ],
    ids=lambda override: override[:20],
)
def test_what_hydra_reads_stays_as_it_is(override):
    assert overrides.for_hydra(["-m", override]) == ["-m", override]


def test_letters_of_any_language_may_stand_in_a_list_or_mapping():
    typed = ["dataset.keys={x_train: 자료, y_train: y}", "dataset.drop=[id,Größe]"]
    first, second = overrides.for_hydra(typed)
    parser = OverridesParser.create()
    assert parser.parse_override(first).value()["x_train"] == "자료"
    assert parser.parse_override(second).value()[1] == "Größe"


def test_spaces_at_the_ends_of_a_path_that_exists_stay(tmp_path):
    (tmp_path / "own ").mkdir()
    [word] = overrides.for_hydra([f"dataset.path={tmp_path}/own "])
    assert OverridesParser.create().parse_override(word).value() == f"{tmp_path}/own "


@pytest.mark.parametrize("override", ["seed=choice(1,2", "units=[1,", "tags={a: ü"])
def test_a_broken_list_or_sweep_is_not_made_a_text(override):
    assert overrides.for_hydra([override]) == [override]


def test_a_file_with_a_comma_in_its_name_is_a_path(tmp_path):
    path = tmp_path / "a,b.csv"
    path.touch()
    (override,) = overrides.for_hydra([f"dataset.path={path}"])
    parsed = OverridesParser.create().parse_override(override)
    assert parsed.value() == str(path)
    assert not parsed.is_sweep_override()


# The help of train.


def test_every_setting_in_the_help_has_its_phrase():
    assert [name for name, _, phrase in settings_help.settings() if not phrase] == []


def test_the_help_lists_no_internal_group():
    assert "schema" not in settings_help.text()
    assert {"architecture", "training/schedule", "hydra/launcher"} <= set(settings_help.groups())


def test_the_help_shows_the_settings_of_an_option_that_was_named():
    assert "dataset.label=" not in settings_help.text()
    assert "dataset.label=label" in settings_help.text(["dataset=csv"])


def test_the_settings_in_the_help_are_those_that_are_composed(compose):
    from fitgap.config import settings

    composed = settings.flatten(settings.to_plain(compose()))
    shown = {name for name, value, _ in settings_help.settings() if value != "{}"} - {"tags"}
    assert shown - set(composed) == set()


def test_the_data_report_is_written_as_a_page_too(tmp_path):
    done = fitgap("data-report", "dataset=digits", "-o", "pages/digits.html", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# Data: digits")
    assert done.stdout.endswith(f"page: {tmp_path / 'pages' / 'digits.html'}\n")
    assert "<h1>Data: digits</h1>" in (tmp_path / "pages" / "digits.html").read_text()
