"""What a network is trained for: the one table from which head, loss, labels and metrics follow.

The dataset's target decides the task. All else that would need to ask "is this a classifier?"
looks here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fitgap.config.options import read_option
from fitgap.config.schema import Config, LossConfig, MetricConfig
from fitgap.errors import RequestError

AUTO = "auto"  # the loss, or the form of its labels, that follows from the task


@dataclass(frozen=True)
class Task:
    """One kind of target, and what follows from it unless a person names something else.

    Attributes
    ----------
    name
        As ``dataset.task`` takes it.
    target
        What the targets are, in a phrase for messages.
    activation
        Of the output layer, which has a unit per class, number or label.
    output
        What a value of it is, by which a served network names its answer.
    labels
        The forms that a loss may take the targets in; the first is that of a loss whose option
        names none. See `fitgap.evaluation.scores.encode_labels`.
    loss, metrics
        The options that are taken where none is named.
    compiles
        The metrics that Keras computes along with the loss, under the names it gives them, and
        the function that each equals.
    """

    name: str
    target: str
    activation: str
    output: str
    labels: tuple[str, ...]
    loss: str
    metrics: tuple[str, ...]
    compiles: Mapping[str, str] = field(default_factory=dict)


TASKS = {
    task.name: task
    for task in (
        Task(
            name="classes",
            target="one class per sample",
            activation="softmax",
            output="probability",
            labels=("one_hot", "integer", "binary"),
            loss="sparse_categorical_crossentropy",
            metrics=("accuracy",),
            compiles={"accuracy": "sklearn.metrics.accuracy_score"},
        ),
        Task(
            name="numbers",
            target="one or several numbers per sample",
            activation="linear",
            output="number",
            labels=("numbers",),
            loss="mse",
            metrics=("rmse",),
        ),
        Task(
            name="label_sets",
            target="any number of labels per sample",
            activation="sigmoid",
            output="probability",
            labels=("many_hot",),
            loss="binary_crossentropy",
            metrics=("accuracy",),
        ),
    )
}


def task_of(config: Config) -> Task:
    """Return the task of settings that `resolve` has completed."""
    return next(task for task in TASKS.values() if config.loss.labels in task.labels)


def compiled_metrics(config: Config) -> list[str]:
    """Return which of an experiment's metrics Keras computes along with the loss."""
    return [
        name
        for name, function in task_of(config).compiles.items()
        if name in config.metrics and config.metrics[name].function == {"_target_": function}
    ]


def metrics_of_each_epoch(metrics: Mapping[str, MetricConfig]) -> list[str]:
    """Return the names of the metrics that are computed after each epoch, not only at the end.

    The first metric is what an epoch is judged by, so it waits only where a person says so.
    """
    first = next(iter(metrics), None)
    return [
        name
        for name, node in metrics.items()
        if (name == first if node.each_epoch is None else node.each_epoch)
    ]


def resolve(config: Config, task: str, *, num_outputs: int | None = None) -> Config:
    """Complete the settings by what the task decides: loss, form of the labels, metrics.

    Parameters
    ----------
    config
        The experiment; it stays as it is.
    task
        A name of `TASKS`.
    num_outputs
        Number of classes, numbers or labels; None: not looked at.

    Returns
    -------
    Config
        The same again if it was complete.

    Raises
    ------
    RequestError
        If loss or metrics do not fit the task.
    """
    kind = TASKS[task]
    loss = config.loss
    if loss.name == AUTO:
        loss = _chosen_loss(loss, kind)
    loss = replace(
        loss, labels=_label_form(loss, kind, dataset=config.dataset.name, num_outputs=num_outputs)
    )
    metrics = config.metrics or {
        name: MetricConfig(**read_option("metrics", name)[name]) for name in kind.metrics
    }
    for name, metric in metrics.items():
        if task not in metric.tasks:
            raise RequestError(
                f"metrics={name} is for {_listed(metric.tasks)}, but the targets of "
                f"dataset={config.dataset.name} are {task} ({kind.target}); "
                f"metrics={kind.metrics[0]} would fit"
            )
    training = config.training
    if training.class_weight is not None and task != "classes":
        raise RequestError(f"training.class_weight weighs classes, but the targets are {task}")
    stopping = training.early_stopping
    if stopping and stopping.get("monitor") == AUTO:
        # Where no metric was named, the loss: it moves in smaller steps than any share.
        monitor = f"val_{next(iter(config.metrics))}" if config.metrics else "val_loss"
        training = replace(training, early_stopping=stopping | {"monitor": monitor})
    return replace(config, loss=loss, metrics=metrics, training=training)


def _chosen_loss(given: LossConfig, kind: Task) -> LossConfig:
    """Return the loss that a task needs, with the settings that were given besides."""
    chosen = LossConfig(**read_option("loss", kind.loss))
    if "_target_" in given.function:
        raise RequestError(
            f"loss=auto takes loss={chosen.name} for {kind.name}, but loss.function._target_ is "
            f"{given.function['_target_']}; write an option of your own for that function"
        )
    labels = kind.labels[0] if chosen.labels == AUTO else chosen.labels
    if given.labels not in (AUTO, labels):
        raise RequestError(
            f"loss.labels: loss=auto takes loss={chosen.name}, whose labels are {labels}, "
            f"got {given.labels}; leave it out, or name a loss"
        )
    return replace(chosen, function={**chosen.function, **given.function})


def _label_form(loss: LossConfig, kind: Task, *, dataset: str, num_outputs: int | None) -> str:
    form = loss.labels
    if form == AUTO:
        kind_of_loss = str(loss.function.get("_target_", "")).rpartition(".")[2]
        is_sparse = kind_of_loss.lower().startswith("sparse")  # so Keras names those of numbers
        form = "integer" if is_sparse and "integer" in kind.labels else kind.labels[0]
    elif form == "binary" and kind.name == "label_sets":
        form = "many_hot"  # 0 or 1 against a sigmoid unit, for each label
    if form not in kind.labels:
        raise RequestError(
            f"loss={loss.name} takes {form} labels, but the targets are {kind.name} "
            f"({kind.target}); use loss=auto, or a loss whose option leaves out `labels`"
        )
    if form == "binary" and num_outputs not in (None, 2):
        raise RequestError(
            f"loss={loss.name} needs a dataset of 2 classes, got dataset={dataset} with "
            f"{num_outputs}"
        )
    return form


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
