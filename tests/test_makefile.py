"""What stands after `make train` reaches the command, or is refused."""

import os
import shlex
import shutil
import subprocess

import pytest

from fitgap.config import project

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def make(*words):
    # -o: as if the environment were there and up to date.
    command = ["make", "-n", "-o", ".venv/ready", *words]
    # What the make that runs these tests hands down is not meant for this one.
    from_make = ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in from_make}
    return subprocess.run(
        command,
        cwd=project.CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_settings_reach_the_command_with_or_without_args():
    done = make("train", "optimizer=sgd", "name=it's (b)", "seed=7", "ARGS=training.epochs=2 -m")
    assert done.returncode == 0, done.stderr
    _, command, *words = shlex.split(done.stdout.splitlines()[-1])
    assert command == "train"
    assert sorted(words) == ["-m", "name=it's (b)", "optimizer=sgd", "seed=7", "training.epochs=2"]


def test_variables_of_the_makefile_are_no_settings():
    done = make("ui", "PORT=5999")
    assert shlex.split(done.stdout.splitlines()[-1])[1:] == [
        *("ui", "--host", "127.0.0.1", "--port", "5999")
    ]


@pytest.mark.parametrize("target", ["compare", "report", "ui", "predict", "rerun", "register"])
def test_a_target_that_takes_no_settings_refuses_them(target):
    done = make(target, "by=optimizer")
    assert done.returncode == 2
    assert "by: no setting of this target" in done.stderr


def test_an_audit_that_could_ask_about_nothing_does_not_pass():
    assert "--strict" in shlex.split(make("audit").stdout)
