"""Which remedies of a sweep fit its data, its task and its architecture."""

import re
from collections.abc import Mapping
from typing import Any

from fitgap.config.options import read_option
from fitgap.config.tasks import TASKS
from fitgap.experiment import Plan


def why_not(remedy: str, planned: Plan) -> str | None:
    """Return why a remedy does not fit an experiment; None if it does.

    Parameters
    ----------
    remedy
        An option of the group ``remedy``.
    planned
        The experiment without it.
    """
    option = read_option("remedy", remedy)
    chosen = _chosen(option)
    facts, architecture = planned.facts, planned.config.architecture
    lacking = [key for key in option.get("architecture", {}) if key not in architecture]
    if lacking:
        return f"architecture={architecture['name']} has no setting {lacking[0]}"
    if "training/augmentation" in chosen and len(facts.image_shape) == 1:
        return "the data are no images"
    if "loss" in chosen:
        labels = read_option("loss", chosen["loss"]).get("labels")
        if labels is not None and labels not in TASKS[facts.task].labels:
            return f"its loss takes {labels} labels, but the targets are {TASKS[facts.task].target}"
    return None


def _chosen(option: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of other groups that an option chooses, by their groups."""
    pairs = [
        pair
        for each in option.get("defaults", [])
        if isinstance(each, dict)
        for pair in each.items()
    ]
    return {re.sub(r"^(override +)?/?", "", group): str(name) for group, name in pairs}
