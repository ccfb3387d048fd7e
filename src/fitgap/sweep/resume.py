"""Continue a sweep that was interrupted."""

from collections.abc import Collection, Sequence

from fitgap import processes, store
from fitgap.config import program
from fitgap.config.quoting import quoted
from fitgap.errors import RequestError
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep.plan import SweepPlan
from fitgap.sweep.status import Sweep
from fitgap.trust import overrides as trust
from fitgap.trust.text import HIDDEN

_NOT_RESUMED = ("hydra.mode=", "hydra.sweeper.resume=", "hydra.sweeper.dry_run=")
_OF_LAUNCHER = ("hydra/launcher=", "hydra.launcher.")


def assume_dead(uri: str, sweep: Sweep, *, host: str) -> None:
    """End runs of a sweep's experiment that say RUNNING on a host that a person knows to be gone.

    Parameters
    ----------
    uri
        Of the store.
    sweep
        Whose experiment's runs are ended.
    host
        The name of the host.

    Raises
    ------
    RequestError
        If nothing runs there.
    """
    running = store.find_runs(uri, experiment=sweep.experiment, statuses=("RUNNING",))
    hosts = {run.tags.get(processes.HOST_TAG, "unknown") for run in running}
    if host not in hosts:
        others = f"what says RUNNING is on {', '.join(sorted(hosts))}" if hosts else "nothing runs"
        raise RequestError(f"--assume-dead must be a host with runs, got {host!r}; {others}")
    from fitgap.tracking import setup

    setup.end_dead_runs(uri, sweep.experiment, dead_host=host)


def resume_arguments(
    uri: str,
    sweep: Sweep,
    plan: SweepPlan,
    *,
    overrides: Sequence[str] = (),
    modules: Collection[str] = (),
) -> list[str]:
    """Return the words after `fitgap train` that continue a sweep.

    Parameters
    ----------
    uri
        Of the store the sweep is in.
    sweep, plan
        From `choose_sweep` and `read_plan` of `fitgap.sweep.status`.
    overrides
        Of Hydra's settings, in addition: another launcher, another number of workers.
    modules
        Those whose classes the plan may name besides Keras's and fitgap's; see `fitgap.trust`.

    Raises
    ------
    RequestError
        If an override is of the experiment: that would be another sweep. If the plan brings along
        what a record may not.
    """
    for override in overrides:
        if not override.lstrip("+~").startswith(("hydra/", "hydra.")):
            raise RequestError(
                "resume takes only settings of Hydra, such as hydra.launcher.n_jobs=4, "
                f"got {override!r}",
                f"Other runs are another sweep: {program.name()} train -m ...",
            )
    replaced = {_key(override) for override in overrides}
    recorded = [
        o
        for o in plan.hydra
        if not o.lstrip("+").startswith(_NOT_RESUMED) and _key(o) not in replaced
    ]
    what = f"{sweep_plan.FILE_NAME} of sweep {sweep.parent.run_id}"
    trust.check([*recorded, *plan.task], what=what, modules=modules)
    _need_no_secret([*recorded, *plan.task], what=what)
    if any(override.startswith("hydra/launcher=") for override in overrides):
        recorded = [o for o in recorded if not o.lstrip("+").startswith(_OF_LAUNCHER)]
    task = [
        f"{override.partition('=')[0]}={quoted(uri)}"
        if override.lstrip("+").startswith("tracking.uri=")
        else override
        for override in plan.task
    ]
    return ["-m", *recorded, *task, *overrides, f"hydra.sweeper.resume={sweep.parent.run_id}"]


def _need_no_secret(overrides: Sequence[str], *, what: str) -> None:
    for override in overrides:
        # A tag is recorded without its secret in any case.
        if HIDDEN in override and not _key(override).startswith(("tags.", "tracking.uri")):
            raise RequestError(
                f"{what} has {override}: passwords and tokens are not recorded",
                "Give the sweep's own command again; what has finished is not trained again",
            )


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")
