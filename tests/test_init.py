"""``fitgap init``: a project that trains at once, and nothing of a person's overwritten."""

import re
import shlex

import pytest

from fitgap.commands import init
from fitgap.config import project
from fitgap.errors import RequestError


def test_the_starter_is_written_whole_and_is_a_project(tmp_path, monkeypatch):
    folder = tmp_path / "pro"
    written = {path.relative_to(folder).as_posix() for path in init.write(folder)}
    assert written == {".gitignore", "README.md", "conf/architecture/residual.yaml", "models.py"}
    monkeypatch.delenv(project.VARIABLE)
    monkeypatch.chdir(folder / "conf")
    assert project.folder() == folder


@pytest.mark.parametrize("name", ["README.md", "models.py", "conf/architecture/residual.yaml"])
def test_what_is_there_is_not_overwritten(tmp_path, name):
    there = tmp_path / name
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("mine")
    before = set(tmp_path.rglob("*"))
    with pytest.raises(RequestError, match=re.escape(name)):
        init.write(tmp_path)
    assert there.read_text() == "mine"
    assert set(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "in_the_way").touch()
    with pytest.raises(RequestError, match="in_the_way"):
        init.write(tmp_path / "in_the_way" / "pro")


def test_the_readme_names_settings_that_there_are(tmp_path, monkeypatch):
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    init.write(tmp_path)
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    text = (tmp_path / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    trained = [shlex.split(line, comments=True) for line in block.splitlines()]
    overrides = [word for words in trained for word in words if "=" in word]
    assert overrides
    with initialize_config_dir(str(project.CONFIG_DIR), version_base="1.3"):
        for override in overrides:
            key, _, values = override.partition("=")
            for value in values.split(","):
                hydra_compose("train", ["architecture=residual", f"{key}={value}"])


def test_the_network_of_the_starter_trains(tmp_path, monkeypatch, train):
    init.write(tmp_path / "pro")
    monkeypatch.chdir(tmp_path / "pro")
    monkeypatch.delenv(project.VARIABLE)
    done = train("architecture=residual", "architecture.width=8", "training.epochs=1")
    assert done.code == 0, done.err
    assert "val/accuracy" in done.out
