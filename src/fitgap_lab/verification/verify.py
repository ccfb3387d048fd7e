"""Keras against the NumPy reference: every operation once, then whole epochs of training.

`fitgap_lab.verification.checks` has the rules by which they agree.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fitgap.config import tasks
from fitgap.reference.arrays import AnyArray
from fitgap.training import backend
from fitgap.training.engines import choice as engines
from fitgap.training.engines.choice import EngineChoice
from fitgap_lab.composition import settings_of
from fitgap_lab.verification import steps
from fitgap_lab.verification.checks import (
    PERTURBATION,
    EpochCheck,
    Verification,
    relative_difference,
)
from fitgap_lab.verification.experiment import SPARSE, Experiment, named

if TYPE_CHECKING:
    import keras

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw")
LOSSES = (
    "mse",
    "mae",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
)

OTHER_TASKS = (("numbers", "mse"), ("numbers", "mae"), ("label_sets", "binary_crossentropy"))


class Case(NamedTuple):
    """A network that is trained for an epoch."""

    activation: str
    optimizer: str
    loss: str = SPARSE
    task: str = "classes"


EPOCH_CASES = (
    *(Case("sigmoid", optimizer) for optimizer in OPTIMIZERS),
    *(Case("sigmoid", "sgd", loss) for loss in LOSSES if loss != SPARSE),
    *(Case("sigmoid", "adam", loss, task) for task, loss in OTHER_TASKS),
    *(Case(activation, "sgd") for activation in ("tanh", "softmax", "linear")),
    *(Case("relu", optimizer) for optimizer in OPTIMIZERS),
    *(Case("relu", "sgd", loss) for loss in LOSSES if loss != SPARSE),
)


def verify(
    *,
    dataset: str,
    train_samples: int | None = None,
    cases: Sequence[Case] = EPOCH_CASES,
    control_seeds: Sequence[int] = (1, 2, 3),
    show: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Hold Keras against the reference, one step and one epoch at a time.

    Parameters
    ----------
    dataset : {"fashion_mnist", "digits"}
    train_samples
        How many images of the training partition the epochs see; None for all.
    cases
        Which networks are trained for an epoch.
    control_seeds
        Of the controls' perturbations; at least one.
    show
        Called with a phrase for what comes next.

    Raises
    ------
    RequestError
        If the dataset is not to be had.
    """
    backend.start(1)
    base = settings_of([f"dataset={dataset}", "seed=0"])
    make = partial(Experiment, base, train_samples=train_samples)
    show("one step of each")
    first = make()
    step_checks = (
        *steps.operations(first),
        *steps.layers(first),
        *steps.activations(first),
        *(steps.loss(make(loss=loss)) for loss in LOSSES),
        *(steps.loss(make(loss=loss, task=task)) for task, loss in OTHER_TASKS),
        *(steps.optimizer(make(optimizer=optimizer)) for optimizer in OPTIMIZERS),
    )
    epochs = []
    for case in cases:
        show(f"an epoch: {', '.join(case)}")
        experiment = make(**case._asdict())
        epochs.append(_epoch(experiment, control_seeds=control_seeds))
    return Verification(
        dataset=dataset,
        train_samples=len(first.train),
        batch_size=first.config.training.batch_size,
        steps=step_checks,
        epochs=tuple(epochs),
    )


def _epoch(experiment: Experiment, *, control_seeds: Sequence[int]) -> EpochCheck:
    model = experiment.build()
    initial = model.get_weights()
    theirs, score_keras = _train_epoch("compiled", model, experiment)
    model.set_weights(initial)
    ours, score_numpy = _train_epoch("numpy", model, experiment)
    controls = []
    for seed in control_seeds:
        rng = np.random.default_rng(seed)
        model.set_weights([w * (1 + PERTURBATION * rng.standard_normal(w.shape)) for w in initial])
        controls.append(relative_difference(_train_epoch("numpy", model, experiment)[0], ours))
    settings = experiment.config
    return EpochCheck(
        activation=settings.architecture["activation"],
        optimizer=settings.optimizer["name"],
        loss=named(settings),
        difference=relative_difference(ours, theirs),
        control=max(controls),
        score_numpy=score_numpy,
        score_keras=score_keras,
        is_accuracy=tasks.task_of(settings).name == "classes",
        val_samples=len(experiment.val),
    )


def _train_epoch(
    engine_name: str, model: "keras.Model", experiment: Experiment
) -> tuple[list[AnyArray], float]:
    """Return weights and validation accuracy after an engine's epoch from the model's weights.

    Without classes, the loss stands in the place of the accuracy. ``compiled`` without XLA calls
    Keras's own train step for every batch, as ``model.fit`` does.
    """
    from fitgap.training import loop

    choice = EngineChoice(engine_name, xla=False, reason="verification")
    engine = engines.make(
        choice, model=model, train=experiment.train, config=experiment.config, callbacks=()
    )
    seed = experiment.config.seed
    engine.run_epoch(loop.batch_order(len(experiment.train), seed=seed, epoch=1))
    scores = engine.evaluate(experiment.val)
    return engine.model.get_weights(), scores.get("accuracy", scores.loss)
