"""``fitgap.GapCallback``: the exact overfitting gap in any training loop that has callbacks."""

from collections.abc import Collection
from typing import Any

import keras

from fitgap.errors import RequestError
from fitgap.evaluation.scores import EVALUATION_BATCH, gap_of
from fitgap.training import quick_data, quick_fit

# Words in the names of Keras's metrics of which less is better; it has no other mark of them.
_LOWER_IS_BETTER = (
    "loss", "error", "crossentropy", "divergence", "hinge", "poisson", "false_positives",
    "false_negatives", "logcosh", "log_cosh",
)  # fmt: skip
_SHORT = {"mae", "mse", "mape", "msle", "rmse", "kld", "bce"}


class GapCallback(keras.callbacks.Callback):
    """Put the exact figures of the training data, and the gap, into each epoch's ``logs``.

    Keras's own training figures are averages over the epoch, while the weights still change and
    dropout is active. At the end of each epoch, this callback scores the weights in inference
    mode on both whole parts: ``train_<metric>``, ``val_<metric>`` and ``gap_<metric>`` for the
    loss and every compiled metric. A gap is positive if the figure on unseen data is worse,
    whatever the metric's direction.

    Put it first in the list: CSVLogger, MLflow's autolog, early stopping and all other callbacks
    after it then see its figures.

    Parameters
    ----------
    train
        ``(x, y)``, the data that the model is trained on.
    val
        ``(x, y)``, unseen data. None: the ``val_`` figures of ``validation_data`` are used.
    lower_is_better
        Names of your own metrics for which lower is better. Those of Keras are known.
    batch_size
        Number of rows that the evaluation computes at once.

    Raises
    ------
    RequestError
        If ``train`` or ``val`` is not a pair, or its arrays differ in their number of rows; at the
        end of the first epoch, if the model has no validation figures to compare with, if
        ``lower_is_better`` names no metric of it, or if it does not fit the data.

    Examples
    --------
    >>> gap = fitgap.GapCallback(train=(x, y), val=(xv, yv))  # doctest: +SKIP
    >>> model.fit(x, y, callbacks=[gap, keras.callbacks.CSVLogger("log.csv")])  # doctest: +SKIP
    """

    def __init__(
        self,
        train: tuple[Any, Any],
        val: tuple[Any, Any] | None = None,
        *,
        lower_is_better: Collection[str] = (),
        batch_size: int = EVALUATION_BATCH,
    ) -> None:
        super().__init__()
        if isinstance(lower_is_better, str):
            raise RequestError(
                f"GapCallback: lower_is_better must be a list of names, got {lower_is_better!r}"
            )
        if not isinstance(batch_size, int) or batch_size < 1:
            raise RequestError(
                f"GapCallback: batch_size must be a whole number from 1 on, got {batch_size!r}"
            )
        self._train = _pair("train", train)
        self._val = None if val is None else _pair("val", val)
        self._lower_is_better = frozenset(lower_is_better)
        self._batch_size = batch_size

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Score both parts and add the figures to ``logs``."""
        if logs is None:
            return
        train = self._evaluate("train", self._train)
        if unknown := sorted(self._lower_is_better - train.keys()):
            raise RequestError(
                f"GapCallback: lower_is_better names {unknown[0]}, but the model measures "
                f"{', '.join(train)}"
            )
        if self._val is not None:
            val = self._evaluate("val", self._val)
        else:
            val = {name: logs[f"val_{name}"] for name in train if f"val_{name}" in logs}
            if not val and epoch == 0:
                raise RequestError(
                    "GapCallback needs unseen data: give val=(x, y), or model.fit a validation_data"
                )
        logs |= {f"train_{name}": value for name, value in train.items()}
        logs |= {f"val_{name}": value for name, value in val.items()}
        logs |= {
            f"gap_{name}": gap_of(train[name], unseen, higher_is_better=not self._falls(name))
            for name, unseen in val.items()
        }

    def _falls(self, name: str) -> bool:
        return name in self._lower_is_better or is_lower_better(name)

    def _evaluate(self, name: str, part: tuple[Any, Any]) -> dict[str, float]:
        with quick_fit.refused_if_unfit(f"GapCallback, {name}"):
            return quick_fit.evaluate(self.model, *part, batch_size=self._batch_size)


def is_lower_better(name: str) -> bool:
    """Tell by the name of a metric of Keras whether a lower value is better.

    >>> is_lower_better("mean_squared_error"), is_lower_better("class_mse"), is_lower_better("auc")
    (True, True, False)
    """
    return any(word in name for word in _LOWER_IS_BETTER) or bool(
        _SHORT & set(name.lower().split("_"))
    )


def _pair(name: str, part: Any) -> tuple[Any, Any]:
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise RequestError(f"GapCallback: {name} must be a pair (x, y), got {type(part).__name__}")
    quick_data.require_equal_lengths(f"GapCallback: {name}", tuple(part))
    return part[0], part[1]
