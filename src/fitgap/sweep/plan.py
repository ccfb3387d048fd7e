"""The request for a sweep, as its parent run keeps it: the command's overrides and its jobs.

Written by `fitgap.sweep.grid` as the artifact ``plan.json`` before anything starts, read by
`fitgap.sweep.status`.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from fitgap import store
from fitgap.trust.text import HIDDEN, is_secret_name, line, without_secrets

FILE_NAME = "plan.json"


@dataclass(frozen=True)
class PlannedJob:
    """One job of a sweep.

    Attributes
    ----------
    name
        What its run is called.
    identity
        See `fitgap.experiment.Plan`.
    overrides
        Of its settings.
    reused
        Id of the run that had finished it before the sweep began, or None.
    """

    name: str
    identity: str
    overrides: Sequence[str]
    reused: str | None


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep's parent run keeps of the request.

    Attributes
    ----------
    hydra, task
        The command's overrides of Hydra's settings (launcher, sweeper) and of the experiment's.
    workers
        How many jobs its launcher runs at once.
    reuse
        Whether a finished run of an earlier sweep answers.
    jobs
        Each identity once, in the grid's order.
    """

    hydra: Sequence[str]
    task: Sequence[str]
    workers: int
    reuse: bool
    jobs: Sequence[PlannedJob]


def sweep_identity(identities: Iterable[str]) -> str:
    """Return the SHA-256 over a sweep's set of jobs: the same set is the same sweep."""
    return hashlib.sha256("\n".join(sorted(set(identities))).encode()).hexdigest()


def to_json(plan: SweepPlan) -> str:
    """Return the text of ``plan.json``; passwords, tokens and signed addresses are left out."""
    nested = asdict(plan)
    for name in ("hydra", "task"):
        nested[name] = redacted(nested[name])
    for job in nested["jobs"]:
        job["overrides"] = redacted(job["overrides"])
    return json.dumps(nested, indent=1, ensure_ascii=False)


def from_json(text: str) -> SweepPlan:
    """Read the text of ``plan.json``.

    Raises
    ------
    ValueError
        If it is not what `to_json` writes.
    """
    try:
        found = json.loads(text)
        jobs = [PlannedJob(**job) for job in found.pop("jobs")]
        plan = SweepPlan(**found, jobs=jobs)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a sweep's plan: {error}") from error
    texts = [*_each(plan.hydra), *_each(plan.task)]
    for job in jobs:
        texts += [job.name, job.identity, job.reused or "", *_each(job.overrides)]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("not a sweep's plan: it has another value where text must be")
    if type(plan.workers) is not int or plan.workers < 1 or type(plan.reuse) is not bool:
        raise ValueError("not a sweep's plan: workers or reuse has a wrong value")
    # These are shown, and composed of nothing; what is composed, `resume.resume_arguments` checks.
    shown = [
        replace(job, name=line(job.name), overrides=[line(each) for each in job.overrides])
        for job in jobs
    ]
    return replace(plan, jobs=shown)


def _each(texts: object) -> list[object]:
    if not isinstance(texts, list):
        raise ValueError("not a sweep's plan: it has another value where a list must be")
    return texts


def varying(overrides: Sequence[str], grid: Sequence[Sequence[str]]) -> list[str]:
    """Return those of a job's overrides that not every job of the grid has."""
    return [o for o in overrides if not all(o in others for others in grid)]


def redacted(overrides: Sequence[str]) -> list[str]:
    """Return overrides as they may be recorded and shown: without passwords and tokens."""
    return [_redacted(override) for override in overrides]


def _redacted(override: str) -> str:
    key, sign, value = override.partition("=")
    if sign and key.lstrip("+") == "tracking.uri":
        return f"{key}={store.redact(value)}"
    return f"{key}={HIDDEN}" if sign and is_secret_name(key) else without_secrets(override)
