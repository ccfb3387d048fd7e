"""Other Hydra applications of the same environment, and fitgap's jobs as Hydra sees them."""

import pickle
import re
import sys

import pytest
from hydra._internal.utils import create_config_search_path
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from hydra.version import VersionBase
from omegaconf import OmegaConf
from packaging.version import Version

from fitgap import store
from fitgap.config import project
from fitgap.config.schema import Config
from fitgap.sweep import composition
from fitgap.sweep.job import JobFailedError, Outcome, outcome_of

SMALL = ("architecture=dense_softmax", "training.epochs=1", "training.engine=numpy")
DIVERGES = ("optimizer=sgd", "optimizer.learning_rate=3e38")
LAUNCHERS = ("ray.yaml", "ray_aws.yaml", "submitit_local.yaml", "submitit_slurm.yaml")


def registered():
    Plugins.instance()  # imports what an environment's plugins register
    return set(ConfigStore.instance().repo["hydra"]["launcher"]) & set(LAUNCHERS)


def test_other_applications_keep_the_launchers_of_their_plugins(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    create_config_search_path(str(tmp_path))
    before = registered()
    assert {"submitit_local.yaml", "submitit_slurm.yaml"} <= before
    create_config_search_path(str(project.CONFIG_DIR))
    assert registered() == set()
    create_config_search_path(str(tmp_path))
    assert registered() == before


@pytest.fixture
def hydras_defaults():
    """Forget which version's defaults an earlier test asked Hydra for; they are put back."""
    VersionBase.instance().setbase(Version("1.1"))


@pytest.mark.slow
@pytest.mark.usefixtures("hydra_restore_singletons", "hydras_defaults")
@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("submitit_local", ["hydra.launcher.timeout_min=5"])]
)
class TestSubmititLocalOfOtherApplications(LauncherTestSuite):
    """Hydra's own suite for launchers, with fitgap in the environment."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({}, ["-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"])],
)
class TestSubmititLocalIntegration(IntegrationTestSuite):
    """The same, as commands."""


def test_the_sweeper_serves_fitgaps_options_only(tmp_path, monkeypatch):
    import hydra

    (tmp_path / "config.yaml").write_text("defaults:\n  - override hydra/sweeper: fitgap\na: 1\n")
    monkeypatch.setattr(sys, "argv", ["app.py", "-m", "a=1,2"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    main = hydra.main(version_base="1.3", config_path=str(tmp_path), config_name="config")
    with pytest.raises(ValueError, match=r"runs fitgap's experiments only.*hydra/sweeper=basic"):
        main(lambda _: None)()


def test_a_failed_job_is_failed_for_hydra_and_its_outcome_is_kept():
    outcome = Outcome("seed=0", None, "DivergedError: nan", printed="#0 seed=0: FAILED")
    failed = JobReturn()
    failed.status = JobStatus.FAILED
    failed.return_value = pickle.loads(pickle.dumps(JobFailedError(outcome)))
    assert outcome_of(failed) == outcome
    other = JobReturn()
    other.status = JobStatus.FAILED
    other.return_value = OSError("no such module")
    with pytest.raises(OSError, match="no such module"):
        outcome_of(other)


def test_callbacks_and_hydras_own_sweeper_hear_of_a_failed_run(train, tmp_path, monkeypatch):
    heard = tmp_path / "heard"
    (tmp_path / "hearing.py").write_text(
        "from hydra.experimental.callback import Callback\n"
        "class Hearing(Callback):\n"
        "    def on_job_end(self, config, job_return, **kwargs):\n"
        f"        with open({str(heard)!r}, 'a') as file:\n"
        "            print(job_return.status.name, file=file)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)  # Hydra's sweeper writes multirun.yaml
    callback = "+hydra.callbacks.hearing._target_=hearing.Hearing"
    done = train("-m", "hydra/sweeper=basic", "seed=0", callback, *DIVERGES, *SMALL)
    assert done.code == 1
    assert heard.read_text() == "FAILED\n"
    assert "DivergedError" in done.err
    done = train("-m", "seed=0,1", callback, *DIVERGES, *SMALL)
    assert done.code == 1
    assert heard.read_text() == "FAILED\n" * 3
    assert "2 of 2 runs failed" in done.out


def test_the_number_of_a_job_may_name_it_and_its_folder(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = ("name=job_${hydra:job.num}", "hydra.sweep.subdir=sub_${hydra.job.num}")
    done = train("-m", "seed=3,4", "hydra.output_subdir=.hydra", *named, *SMALL)
    assert (done.code, done.err) == (0, "")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    runs = store.find_runs(uri, experiment=project.experiment(), tags={"fitgap.role": "run"})
    assert sorted((run.name, run.params["seed"]) for run in runs) == [
        ("job_0", "3"),
        ("job_1", "4"),
    ]
    for number in (0, 1):
        assert (tmp_path / f"sub_{number}" / ".hydra" / "config.yaml").is_file()


def test_jobs_do_not_write_into_one_folder(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = train("-m", "seed=3,4", "hydra.output_subdir=.hydra", *SMALL)
    assert (done.code, done.err) == (0, "")
    seeds = [
        OmegaConf.load(tmp_path / str(number) / ".hydra" / "config.yaml").seed for number in (0, 1)
    ]
    assert seeds == [3, 4]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer=glob(zzz*)", "there is no value to sweep over"),
        ("seed=range(3,3)", "there is no value to sweep over"),
        ("seed=range(0,3,0)", "range() arg 3 must not be zero"),
    ],
)
def test_a_sweep_over_nothing_or_without_end_is_a_wrong_request(train, override, said):
    done = train("-m", "architecture=dense_softmax", override)
    assert done.code == 2
    assert done.err.startswith(f"error: {override}: {said}")
    assert len(done.err.splitlines()) == 1
    assert re.search("finished before", done.out) is None


def test_numbering_jobs_leaves_hydras_state_as_it_was():
    before = HydraConfig.instance().cfg
    master = OmegaConf.create({"hydra": HydraConf, "seed": 0})
    numbers = []

    def settings():
        for _ in range(3):
            numbers.append(HydraConfig.instance().cfg.hydra.job.num)
            yield Config()

    assert len(list(composition.numbered(settings(), master))) == 3
    assert numbers == [0, 1, 2]
    assert HydraConfig.instance().cfg is before
