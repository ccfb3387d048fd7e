"""Where a run comes from: commit, uncommitted changes, versions, processor.

All of it is asked once per process, at its first run: later edits of a file do not reach the code
that is loaded already.
"""

import contextlib
import functools
import getpass
import importlib.metadata
import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fitgap.config import project
from fitgap.store.recorded_code import SHORT
from fitgap.tag_names import CODE_TAG, COMMIT_TAG, DIRTY_TAG
from fitgap.trust.text import without_secrets

# Set for each run: its code depends on its settings.
UNKNOWN_TAG = "fitgap.code_unknown"
CPU_TAG = "fitgap.cpu"
VERSION_PREFIX = "fitgap.version."

DIFF_FILE = "uncommitted.diff"
MOST_DIFF_BYTES = 1_000_000
# Where a file that git does not know may decide a run.
SOURCE_FOLDERS = ("conf", "scripts", "src", "*.py")
MOST_TAG_LENGTH = 8000  # MLflow's limit
PACKAGES = ("fitgap", "tensorflow", "keras", "numpy", "mlflow", "hydra-core")
GIT_SECONDS = 10.0  # a status that takes longer is not worth a run's waiting


@dataclass(frozen=True)
class Checkout:
    """The state of a git checkout.

    Attributes
    ----------
    commit
        Its SHA-1.
    diff
        What of tracked files is not committed, and the names of source files that git does not
        know; None if there is nothing of either.
    """

    commit: str
    diff: str | None


def tags() -> dict[str, str]:
    """Return the tags that say where the runs of the present project come from."""
    found = {CPU_TAG: _cpu(), "mlflow.source.name": "fitgap", "mlflow.source.type": "LOCAL"}
    with contextlib.suppress(OSError, KeyError, ImportError):  # a container without a name
        found["mlflow.user"] = getpass.getuser()
    found |= {f"{VERSION_PREFIX}{name}": version for name, version in _versions().items()}
    state = _project_checkout()
    if state is not None:
        found |= {COMMIT_TAG: state.commit, DIRTY_TAG: "true" if state.diff else "false"}
    return found


def code_tag(fingerprints: Mapping[str, str]) -> dict[str, str]:
    """Return the tag that holds the fingerprints of a run's code, shortened; none if too many."""
    text = json.dumps({name: value[:SHORT] for name, value in fingerprints.items()})
    return {CODE_TAG: text} if len(text) <= MOST_TAG_LENGTH else {}


def unknown_tag(unknown: Sequence[str]) -> dict[str, str]:
    """Return the tag that names own code without a readable source; none if all is known."""
    return {UNKNOWN_TAG: "; ".join(unknown)[:MOST_TAG_LENGTH]} if unknown else {}


def uncommitted() -> str | None:
    """Return the part of this process's code that is in no commit; see `Checkout.diff`."""
    state = _project_checkout()
    return state.diff if state is not None else None


def _project_checkout() -> Checkout | None:
    """Return the state of the project; of fitgap's own repository if the project is in none."""
    return checkout(project.folder()) or checkout(project.CHECKOUT)


@functools.cache
def checkout(root: Path) -> Checkout | None:
    """Return the state of the checkout in a folder; None where there is none, or no git.

    The diff has no more than `MOST_DIFF_BYTES`, and no passwords, tokens or keys.
    """
    try:
        options = ("--porcelain=v2", "--branch", "--untracked-files=no")
        status = _git(root, "status", *options, "--", ".")
        found = re.search(r"^# branch\.oid ([0-9a-f]{40,})$", status, re.MULTILINE)
        if found is None:
            return None  # no commit yet
        unknown = _git(root, "ls-files", "--others", "--exclude-standard", "--", *SOURCE_FOLDERS)
        changed = any(not line.startswith("#") for line in status.splitlines())
        # Neither a person's own diff program nor her converters are run.
        options = ("--no-color", "--no-ext-diff", "--no-textconv")
        diff = _git(root, "diff", *options, "HEAD", "--", ".") if changed else ""
    except (OSError, subprocess.SubprocessError):
        return None
    return Checkout(
        found[1], recorded_diff(diff, unknown.splitlines()) if changed or unknown else None
    )


def _git(root: Path, *arguments: str) -> str:
    # Without optional locks, several processes may ask at once.
    command = ["git", "--no-optional-locks", "-c", "core.quotePath=false", "-C", str(root)]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        check=True,
        timeout=GIT_SECONDS,
        encoding="utf-8",
        errors="replace",
    )
    return done.stdout


def recorded_diff(diff: str, unknown: list[str]) -> str:
    """Return uncommitted changes as they are recorded: without secrets, and of bounded size.

    Parameters
    ----------
    diff
        As git prints it; cut off after `MOST_DIFF_BYTES`.
    unknown
        Names of files that git does not know.
    """
    diff = without_secrets(diff)
    size = len(diff.encode())
    if size > MOST_DIFF_BYTES:
        kept = diff.encode()[:MOST_DIFF_BYTES].decode(errors="ignore").rpartition("\n")[0]
        diff = f"{kept}\n# cut off here: {size} bytes in all\n"
    names = "".join(f"# not known to git: {name}\n" for name in unknown)
    return diff + names


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


@functools.cache
def _cpu() -> str:
    """Return the processor's name: another one may add up in another order."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        lines = ""
    found = re.search(r"^model name\s*:\s*(.+)$", lines, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
