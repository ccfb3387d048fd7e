"""What the record keeps of the code a run came from."""

import subprocess

import pytest

from fitgap import identity
from fitgap.config import project
from fitgap.tracking import provenance

SECRET = "c0rrect-h0rse"


@pytest.fixture
def git(tmp_path):
    """Return a function that runs git in a checkout with one committed source file."""

    def run(*arguments):
        identified = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ["git", "-C", str(tmp_path), *identified, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    provenance.checkout.cache_clear()
    run("init", "--quiet")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "network.py").write_text("units = 100\n")
    (tmp_path / ".gitignore").write_text("*.db\n")
    run("add", ".")
    run("commit", "--quiet", "--message", "first")
    yield run
    provenance.checkout.cache_clear()


def test_clean_checkout_is_its_commit(git, tmp_path):
    assert provenance.checkout(tmp_path) == provenance.Checkout(git("rev-parse", "HEAD"), None)


def test_diff_makes_the_uncommitted_state_of_the_commit(git, tmp_path):
    (tmp_path / "src" / "network.py").write_text("units = 200  # 더 넓게\n")
    found = provenance.checkout(tmp_path)
    assert found.commit == git("rev-parse", "HEAD")
    git("checkout", "--quiet", ".")
    (tmp_path / "kept.diff").write_text(found.diff)
    git("apply", "kept.diff")
    assert (tmp_path / "src" / "network.py").read_text() == "units = 200  # 더 넓게\n"


def test_staged_changes_are_not_committed_either(git, tmp_path):
    (tmp_path / "src" / "network.py").write_text("units = 300\n")
    git("add", ".")
    assert "+units = 300" in provenance.checkout(tmp_path).diff


@pytest.mark.usefixtures("git")
def test_of_unknown_files_only_source_files_are_named_and_none_is_read(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "wide.yaml").write_text(f"token: {SECRET}\n")
    (tmp_path / "src" / "mlflow.db").write_text(SECRET)  # ignored
    (tmp_path / ".env").write_text(SECRET)
    assert provenance.checkout(tmp_path).diff == "# not known to git: conf/wide.yaml\n"


@pytest.mark.usefixtures("git")
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ada:{SECRET}@db.example/mlflow",
        f"https://db.example/?user=ada&password={SECRET}",
    ],
)
def test_passwords_of_urls_stay_out_of_the_diff(tmp_path, url):
    (tmp_path / "src" / "network.py").write_text(f"uri = '{url}'\n")
    diff = provenance.checkout(tmp_path).diff
    assert SECRET not in diff
    assert "db.example" in diff


@pytest.mark.usefixtures("git")
def test_large_diff_is_cut_at_a_line_and_says_so(tmp_path):
    lines = [f"number_{i} = {i}" for i in range(60_000)]
    (tmp_path / "src" / "network.py").write_text("\n".join(lines))
    diff = provenance.checkout(tmp_path).diff
    assert provenance.MOST_DIFF_BYTES - 100 < len(diff.encode()) < provenance.MOST_DIFF_BYTES + 100
    *_, last_kept, said = diff.splitlines()
    assert last_kept.removeprefix("+") in lines
    assert said.startswith("# cut off here: ")


def test_folder_that_is_no_checkout_has_no_state(tmp_path):
    assert provenance.checkout(tmp_path / "absent") is None
    assert provenance.checkout(tmp_path) is None


def test_checkout_without_a_commit_has_no_state(tmp_path):
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    assert provenance.checkout(tmp_path) is None


@pytest.mark.usefixtures("git")
@pytest.mark.parametrize("is_dirty", [True, False])
def test_run_keeps_the_diff_where_there_is_one(
    tmp_path, monkeypatch, compose, tracking_uri, is_dirty
):
    from mlflow import MlflowClient

    from fitgap.tracking import descriptions, run_writer, setup

    if is_dirty:
        (tmp_path / "src" / "network.py").write_text("units = 200\n")
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    experiment = setup.prepare(tracking_uri, "fitgap")
    description = descriptions.RunDescription(name="a run", parameters={}, tags={})
    with run_writer.open_run(
        compose(), description, uri=tracking_uri, experiment_id=experiment
    ) as record:
        pass
    client = MlflowClient(tracking_uri)
    found = {file.path for file in client.list_artifacts(record.run_id)}
    assert found == ({"uncommitted.diff"} if is_dirty else set())
    # Secrets that nothing tells may stand in it.
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("uncommitted.diff")}
    assert modes == ({0o600} if is_dirty else set())
    assert client.get_run(record.run_id).data.tags["fitgap.git_dirty"] == str(is_dirty).lower()


def test_each_project_of_a_process_has_its_own_commit(git, tmp_path, monkeypatch):
    monkeypatch.setenv(project.VARIABLE, str(tmp_path / "elsewhere"))
    elsewhere = provenance.tags().get(provenance.COMMIT_TAG)
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    assert provenance.tags()[provenance.COMMIT_TAG] == git("rev-parse", "HEAD") != elsewhere


def test_tags_name_code_versions_and_processor():
    tags = provenance.tags()
    assert tags["fitgap.cpu"]
    for name, version in identity.versions().items():
        assert tags[f"fitgap.version.{name}"] == version
    named = {key.removeprefix("fitgap.version.") for key in tags if ".version." in key}
    assert named >= {"python", "mlflow", "hydra-core", "fitgap"}
