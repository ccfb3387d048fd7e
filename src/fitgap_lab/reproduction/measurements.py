"""The published experiments trained here: the sweep that does it, and what its runs measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fitgap import experiment, store
from fitgap.config.quoting import quoted
from fitgap.experiment import Plan
from fitgap.tag_names import IDENTITY_TAG
from fitgap_lab.composition import settings_of
from fitgap_lab.reproduction.published import FIRST_IMAGE, PRESETS, PUBLISHED, Figure


@dataclass(frozen=True)
class Measurement:
    """One finished run of a preset.

    Attributes
    ----------
    run_id, seed
        Which one it is.
    final
        Metrics of the weights at the end.
    by_epoch
        The running averages, epoch by epoch.
    """

    run_id: str
    seed: int
    final: Mapping[str, float]
    by_epoch: Mapping[str, Sequence[float]]

    def value(self, figure: Figure) -> float:
        """Return what this run has where the source printed ``figure``."""
        if figure.epoch is None:
            return self.final[figure.metric]
        return self.by_epoch[figure.metric][figure.epoch - 1]


def sweep_overrides(seeds: int, *, experiment_name: str) -> list[str]:
    """Return the arguments of ``scripts/train.py`` that train all presets over some seeds."""
    return [
        "-m",
        "hydra/launcher=joblib",
        f"experiment={','.join(PRESETS)}",
        f"seed={','.join(map(str, range(seeds)))}",
        f"tracking.experiment={quoted(experiment_name)}",
    ]


def plans(seeds: int, *, experiment_name: str) -> dict[str, list[Plan]]:
    """Return the checked experiments of every preset, a seed each; train nothing.

    Raises
    ------
    RequestError
        If a dataset is not to be had.
    """
    planned: dict[str, list[Plan]] = {preset: [] for preset in PRESETS}
    for preset, of_preset in planned.items():
        for seed in range(seeds):
            settings = settings_of([f"experiment={preset}", f"seed={seed}"])
            settings.tracking.experiment = experiment_name
            of_preset.append(experiment.plan(settings))
    return planned


def measure(planned: Mapping[str, Sequence[Plan]]) -> dict[str, list[Measurement]]:
    """Read from the record what the finished runs of some experiments measured.

    Parameters
    ----------
    planned
        From `plans`; an experiment without a finished run is left out.
    """
    first = next(iter(planned.values()))[0]
    runs: dict[str, store.StoredRun] = {}
    for run in store.find_runs(first.uri, experiment=first.config.tracking.experiment):
        runs.setdefault(run.tags.get(IDENTITY_TAG, ""), run)  # the newest of each
    return {
        preset: [
            _measurement(runs[plan.identity], plan, preset=preset)
            for plan in of_preset
            if plan.identity in runs
        ]
        for preset, of_preset in planned.items()
    }


def _measurement(run: store.StoredRun, plan: Plan, *, preset: str) -> Measurement:
    figures = [figure for figure in PUBLISHED if figure.preset == preset]
    final = dict(run.metrics)
    if any(figure.metric == FIRST_IMAGE for figure in figures):
        final[FIRST_IMAGE] = _probability_of_7(run.run_id, uri=plan.uri)
    keys = sorted({figure.metric for figure in figures if figure.epoch is not None})
    histories = store.metric_histories(plan.uri, run_ids=[run.run_id], keys=keys)[run.run_id]
    return Measurement(
        run_id=run.run_id,
        seed=plan.config.seed,
        final=final,
        by_epoch={metric: list(by_step.values()) for metric, by_step in histories.items()},
    )


def _probability_of_7(run_id: str, *, uri: str) -> float:
    from fitgap import prediction
    from fitgap.store import recorded

    run = recorded.open_run(run_id, uri=uri)
    model = prediction.load_model(run)
    found = prediction.predict_test_images(model, prediction.load_dataset(run), [0])
    return float(found.outputs[0, found.class_names.index("7")])
