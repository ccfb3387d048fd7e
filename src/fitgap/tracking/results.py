"""What a training writes into its run's record.

The model, the figures and the files come first. The report on the data and the pictures are extras,
which need more libraries than the training: if one fails, a line says so, and the run continues.
"""

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from fitgap.config.schema import Config
from fitgap.config.tasks import task_of
from fitgap.console import say
from fitgap.data import data_report
from fitgap.data.findings import DataFindings
from fitgap.evaluation.scores import Scores
from fitgap.models import row_layers
from fitgap.tag_names import UNDEFINED_TAG
from fitgap.tracking import artifacts, descriptions, disk_full
from fitgap.tracking.run_writer import RunRecord
from fitgap.training.data import Data
from fitgap.training.engines.choice import Engine
from fitgap.training.loop import Fitted

MISSING_TAG = "fitgap.missing"  # extras that could not be made, and why


@dataclass(frozen=True)
class Results:
    """A finished training, with what came out of it.

    Attributes
    ----------
    config, data, engine
        What was trained, and on what.
    fitted
        The epochs, and the scores of the saved weights on the training and validation partitions.
    test
        Their scores on the test partition.
    metrics, step
        The figures of the saved weights, by name, and the step that they stand at.
    """

    config: Config
    data: Data
    engine: Engine
    fitted: Fitted
    test: Scores
    metrics: Mapping[str, float]
    step: int


def write(
    record: RunRecord, results: Results, *, code: Mapping[str, str], findings: Future[DataFindings]
) -> None:
    """Write all results of a training into its record.

    Parameters
    ----------
    record
        The open MLflow run, which has the figures of the epochs already.
    results
        Of the training.
    code
        The person's own files by their names.
    findings
        About the data; waited for here.
    """
    config, data, engine, fitted = results.config, results.data, results.engine, results.fitted
    _say_undefined(record, config, train=fitted.train, val=fitted.val, test=results.test)
    network, example = row_layers.as_recorded(
        engine.model, data.learned, config.dataset, x=data.partitions.test.x
    )
    about = descriptions.of_model(config, metrics=list(results.metrics), step=results.step)
    output = task_of(config).output
    record.log_model(network, example, output=output, code=code, about=about)
    record.flush()
    outputs = engine.predict(data.dataset.x_test)
    with tempfile.TemporaryDirectory(prefix="fitgap-") as name:
        files, extras = Path(name) / "files", Path(name) / "extras"
        files.mkdir()
        extras.mkdir()
        artifacts.write(
            files, config=config, fitted=fitted, engine=engine, data=data, outputs=outputs
        )
        artifacts.write_code(files, code)
        record.log_artifacts(files)
        makers: dict[str, Callable[[], None]] = {
            "data_report.md": lambda: data_report.write(extras, findings.result())
        }
        # A sweep's runs have no pictures: they take longer than a small network's training, and
        # whoever wants one has it of the record at any time.
        if config.tracking.parent is None:
            makers["learning_curves.png"] = lambda: artifacts.draw_curves(extras, fitted)
            makers["confusion_matrix.png"] = lambda: artifacts.draw_confusion(
                extras, data.dataset, outputs
            )
        _make_extras(record, makers)
        record.log_artifacts(extras)


def _make_extras(record: RunRecord, makers: Mapping[str, Callable[[], None]]) -> None:
    missing = {}
    for name, make in makers.items():
        try:
            make()
        except Exception as error:  # whatever it is, the run is worth more
            if disk_full.is_full(error):
                raise  # which the next file would meet too
            missing[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
    if missing:
        lines = [f"{name} could not be made: {reason}" for name, reason in missing.items()]
        record.set_tags({MISSING_TAG: "; ".join(lines)[:500]})
        say("\n".join(lines))


def _say_undefined(record: RunRecord, config: Config, **parts: Scores | None) -> None:
    """Say which metrics have no value on which partition, and why."""
    lines = [
        f"{name}/{metric}: {reason}"
        for name, scores in parts.items()
        if scores is not None
        for metric, reason in scores.undefined.items()
    ]
    if lines:
        record.set_tags({UNDEFINED_TAG: "; ".join(lines)})
        if config.tracking.parent is None:
            say("\n".join(f"no {line}" for line in lines))
