"""Optimizers: from a gradient to a change of the weights, with Keras's update rules.

Symbols: w is a weight array, g its gradient, lr the learning rate; every other symbol is a slot,
an array of the shape of w that the optimizer keeps between steps. All operations are per element.
Arguments and defaults have Keras's names and values. Where Keras departs from the paper, the
formula here is Keras's and the docstring says so.

What Keras's optimizers offer beyond that (clipping, moving averages of the weights, gradient
accumulation, schedules) isn't here. To follow a schedule, assign `learning_rate` between steps.
"""

# NumPy's stubs give Any for ufuncs and reductions.
# mypy: disable-error-code="no-any-return"

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from fitgap.reference.arrays import FloatArray, require_shape


@dataclass(kw_only=True)
class Optimizer(ABC):
    """What all optimizers share: the slots, the count of steps and weight decay.

    An optimizer belongs to one list of weights. Its slots come into being at the first `apply`.

    Parameters
    ----------
    learning_rate : float, >= 0
        May be assigned between steps.
    weight_decay : float or None, >= 0, default None
        Decoupled [1]_: before the update, ``w <- w - w * weight_decay * lr``.

    Attributes
    ----------
    iterations : int
        The steps made so far.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    learning_rate: float
    weight_decay: float | None = None
    iterations: int = field(default=0, init=False)
    _slots: list[dict[str, FloatArray]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.init and value is not None and not isinstance(value, bool):
                _require_range(each.name, value)

    def apply(self, gradients: Sequence[FloatArray], *, weights: Sequence[FloatArray]) -> None:
        """Make one step: change the weights in place.

        Parameters
        ----------
        gradients : sequence of ndarray
            dL/dw for each of the weights, in their order.
        weights : sequence of ndarray
            The same arrays at every step.

        Raises
        ------
        ValueError
            If the gradients, or the weights of earlier steps, have other numbers or shapes.
        """
        if len(gradients) != len(weights):
            raise ValueError(
                f"there must be {len(weights)} gradients, one per weight array; "
                f"received {len(gradients)}"
            )
        for gradient, weight in zip(gradients, weights, strict=True):
            require_shape(gradient, name="a gradient", shape=weight.shape)
        if not self._slots:
            self._slots = [self._new_slots(weight) for weight in weights]
        if len(weights) != len(self._slots):
            raise ValueError(
                f"there must be {len(self._slots)} weight arrays, as at the first step; "
                f"received {len(weights)}"
            )
        for gradient, weight, slots in zip(gradients, weights, self._slots, strict=True):
            if self.weight_decay is not None:
                np.subtract(weight, weight * self.weight_decay * self.learning_rate, out=weight)
            np.add(weight, self._change(gradient, slots), out=weight)
        self.iterations += 1

    def state(self) -> list[FloatArray]:
        """Return all that later steps depend on: the count of steps, then copies of the slots."""
        slots = [array.copy() for slots in self._slots for array in slots.values()]
        return [np.array(self.iterations, dtype=np.float64), *slots]

    def set_state(self, state: Sequence[FloatArray], *, weights: Sequence[FloatArray]) -> None:
        """Go back to what `state` returned at some time, for the same weights."""
        iterations, *slots = state
        self.iterations = int(iterations)
        self._slots = [self._new_slots(weight) for weight in weights] if slots else []
        kept = [array for slots_of_weight in self._slots for array in slots_of_weight.values()]
        for array, value in zip(kept, slots, strict=True):
            array[...] = value

    def _new_slots(self, weight: FloatArray) -> dict[str, FloatArray]:
        return {
            name: np.full_like(weight, initial) for name, initial in self._initial_slots().items()
        }

    def _initial_slots(self) -> Mapping[str, float]:
        """Name the slots, each with the value it starts from."""
        return {}

    @abstractmethod
    def _change(self, g: FloatArray, slots: dict[str, FloatArray]) -> FloatArray:
        """Update the slots in place and return what to add to the weights."""


@dataclass(kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent, plain or with a velocity v.

    - plain [1]_: ``w <- w - lr g``
    - `momentum` > 0 [2]_: ``v <- momentum v - lr g``, ``w <- w + v``
    - `nesterov` as well [3]_, in the form of [4]_: v as before, ``w <- w + momentum v - lr g``

    Parameters
    ----------
    learning_rate : float, default 0.01
    momentum : float in [0, 1], default 0
    nesterov : bool, default False
        Without momentum it changes nothing, as in Keras.

    References
    ----------
    .. [1] H. Robbins, S. Monro, "A Stochastic Approximation Method", Annals of Mathematical
           Statistics 22, 1951.
    .. [2] B. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
           Computational Mathematics and Mathematical Physics 4, 1964.
    .. [3] Y. Nesterov, "A method for solving the convex programming problem with convergence rate
           O(1/k^2)", Doklady AN SSSR 269, 1983.
    .. [4] I. Sutskever et al., "On the importance of initialization and momentum in deep
           learning", ICML 2013.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def _initial_slots(self) -> Mapping[str, float]:
        return {"velocity": 0}

    def _change(self, g: FloatArray, slots: dict[str, FloatArray]) -> FloatArray:
        v = slots["velocity"]
        # Without momentum v is just the plain step, so one rule serves all three.
        v[...] = v * self.momentum - g * self.learning_rate
        return v * self.momentum - g * self.learning_rate if self.nesterov else v


@dataclass(kw_only=True)
class Adagrad(Optimizer):
    """Divide by the root of all squared gradients so far [1]_.

    ``a <- a + g^2``, ``w <- w - lr g / sqrt(a + epsilon)``

    In the paper a starts from 0 and epsilon isn't under the root.

    Parameters
    ----------
    learning_rate : float, default 0.001
    initial_accumulator_value : float, >= 0, default 0.1
        Where a starts.
    epsilon : float, >= 0, default 1e-7

    References
    ----------
    .. [1] J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning and
           Stochastic Optimization", JMLR 12, 2011.
    """

    learning_rate: float = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def _initial_slots(self) -> Mapping[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def _change(self, g: FloatArray, slots: dict[str, FloatArray]) -> FloatArray:
        a = slots["accumulator"]
        a += np.square(g)
        return -(self.learning_rate * g / np.sqrt(a + self.epsilon))


@dataclass(kw_only=True)
class Adadelta(Optimizer):
    """Scale each step by the size of earlier steps over that of the gradients [1]_.

    - ``a <- rho a + (1 - rho) g^2``
    - ``d = -g sqrt(b + epsilon) / sqrt(a + epsilon)``
    - ``b <- rho b + (1 - rho) d^2``, ``w <- w + lr d``

    The paper has no learning rate, that is lr = 1.

    Parameters
    ----------
    learning_rate : float, default 0.001
    rho : float in [0, 1], default 0.95
    epsilon : float, >= 0, default 1e-7

    References
    ----------
    .. [1] M. Zeiler, "ADADELTA: An Adaptive Learning Rate Method", arXiv:1212.5701, 2012.
    """

    learning_rate: float = 0.001
    rho: float = 0.95
    epsilon: float = 1e-7

    def _initial_slots(self) -> Mapping[str, float]:
        return {"squared_gradients": 0, "squared_changes": 0}

    def _change(self, g: FloatArray, slots: dict[str, FloatArray]) -> FloatArray:
        a, b = slots["squared_gradients"], slots["squared_changes"]
        a[...] = self.rho * a + (1 - self.rho) * np.square(g)
        d = -(np.sqrt(b + self.epsilon) * g / np.sqrt(a + self.epsilon))
        b[...] = self.rho * b + (1 - self.rho) * np.square(d)
        return self.learning_rate * d


@dataclass(kw_only=True)
class RMSprop(Optimizer):
    """Divide by the root of a moving average of the squared gradients [1]_.

    - ``a <- rho a + (1 - rho) g^2``
    - `centered` [2]_: ``m <- rho m + (1 - rho) g`` and ``s = a - m^2``, otherwise ``s = a``
    - ``v <- momentum v + lr g / sqrt(s + epsilon)``, ``w <- w - v``

    Parameters
    ----------
    learning_rate : float, default 0.001
    rho : float in [0, 1], default 0.9
    momentum : float in [0, 1], default 0
    epsilon : float, >= 0, default 1e-7
    centered : bool, default False

    References
    ----------
    .. [1] T. Tieleman, G. Hinton, "Lecture 6.5 - rmsprop", Coursera: Neural Networks for Machine
           Learning, 2012.
    .. [2] A. Graves, "Generating Sequences With Recurrent Neural Networks", arXiv:1308.0850, 2013,
           equations 38-45.
    """

    learning_rate: float = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def _initial_slots(self) -> Mapping[str, float]:
        return {"squared_gradients": 0, "gradients": 0, "velocity": 0}

    def _change(self, g: FloatArray, slots: dict[str, FloatArray]) -> FloatArray:
        a, m, v = slots["squared_gradients"], slots["gradients"], slots["velocity"]
        a[...] = self.rho * a + (1 - self.rho) * np.square(g)
        spread = a
        if self.centered:
            m[...] = self.rho * m + (1 - self.rho) * g
            spread = a - np.square(m)
        v[...] = self.momentum * v + self.learning_rate * g / np.sqrt(spread + self.epsilon)
        return -v


@dataclass(kw_only=True)
class Adam(Optimizer):
    """Divide a moving average of the gradients by the root of that of their squares [1]_.

    At step k, counted from 1:

    - ``m <- m + (g - m) (1 - beta_1)``, ``v <- v + (g^2 - v) (1 - beta_2)``
    - ``alpha = lr sqrt(1 - beta_2^k) / (1 - beta_1^k)``, as both averages start from 0
    - ``w <- w - alpha m / (sqrt(v) + epsilon)``

    This is the paper's second form (before its section 2.1), with its "epsilon hat". With
    `amsgrad` [2]_, the largest v so far takes the place of v in the last line.

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta_1 : float in [0, 1), default 0.9
    beta_2 : float in [0, 1), default 0.999
    epsilon : float, >= 0, default 1e-7
    amsgrad : bool, default False

    References
    ----------
    .. [1] D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
    .. [2] S. Reddi, S. Kale, S. Kumar, "On the Convergence of Adam and Beyond", ICLR 2018.
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def _initial_slots(self) -> Mapping[str, float]:
        return {"momentum": 0, "velocity": 0, "largest_velocity": 0}

    def _change(self, g: FloatArray, slots: dict[str, FloatArray]) -> FloatArray:
        m, v, largest = slots["momentum"], slots["velocity"], slots["largest_velocity"]
        # Keras takes these powers in the weights' dtype. In float32, 1 - 0.999 is off by 1e-5 of
        # itself: with exact powers the first steps would differ from Keras's by as much.
        to_dtype = g.dtype.type
        step = to_dtype(self.iterations + 1)
        rate = to_dtype(self.learning_rate)
        alpha = rate * np.sqrt(1 - to_dtype(self.beta_2) ** step)
        alpha /= 1 - to_dtype(self.beta_1) ** step
        m += (g - m) * (1 - self.beta_1)
        v += (np.square(g) - v) * (1 - self.beta_2)
        if self.amsgrad:
            np.maximum(largest, v, out=largest)
            v = largest
        return -(m * alpha / (np.sqrt(v) + self.epsilon))


@dataclass(kw_only=True)
class AdamW(Adam):
    """Adam with decoupled weight decay [1]_: first ``w <- w - w * weight_decay * lr``.

    Parameters
    ----------
    weight_decay : float, >= 0, default 0.004
        Must not be None.
    learning_rate, beta_1, beta_2, epsilon, amsgrad
        As in `Adam`.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    weight_decay: float | None = 0.004

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_decay is None:
            raise ValueError("weight_decay of adamw must be a number; received None")


_OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


def make_optimizer(name: str, **settings: Any) -> Optimizer:
    """Make an optimizer from its name and settings.

    Parameters
    ----------
    name : str
        "sgd", "adagrad", "adadelta", "rmsprop", "adam" or "adamw".
    **settings
        The class's arguments, over the defaults.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        If there is none of that name, it hasn't such a setting, or a value is out of range.

    Examples
    --------
    >>> make_optimizer("sgd", learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, weight_decay=None, iterations=0, momentum=0.9, nesterov=False)
    """
    if name not in _OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(_OPTIMIZERS)}; received {name!r}")
    optimizer_class = _OPTIMIZERS[name]
    allowed = [each.name for each in fields(optimizer_class) if each.init]
    for setting in settings:
        if setting not in allowed:
            raise ValueError(
                f"a setting of optimizer {name} must be one of {', '.join(allowed)}; "
                f"received {setting!r}"
            )
    return optimizer_class(**settings)


def _require_range(name: str, value: float) -> None:
    """Check a setting against its interval; infinity and NaN never pass."""
    if name in ("momentum", "rho"):
        interval, is_low_enough = "[0, 1]", value <= 1
    elif name in ("beta_1", "beta_2"):  # at 1 Adam would learn nothing, and divide by zero
        interval, is_low_enough = "[0, 1)", value < 1
    else:
        interval, is_low_enough = "[0, inf)", value < math.inf
    if not (value >= 0 and is_low_enough):
        raise ValueError(f"{name} must be in {interval}; received {value}")
