"""How long the loops of `fitgap_lab.verification.naive` take, beside NumPy's expressions and Keras.

All three compute the same operation on the same arrays and must give the same result. What is
measured is the processor's time for one call from Python, so Keras's times include what it does
around each operation; what else the machine does counts for none of them.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from fitgap.training import backend
from fitgap_lab.verification import naive

# A sample is as many calls as fill this time: a single call of a microsecond cannot be timed.
_SAMPLE_SECONDS = 0.02
_SAMPLES = 5


@dataclass(frozen=True)
class Speed:
    """One operation's times.

    Attributes
    ----------
    operation, shapes
        What was computed.
    naive_seconds, numpy_seconds, keras_seconds
        Medians per call.
    """

    operation: str
    shapes: str
    naive_seconds: float
    numpy_seconds: float
    keras_seconds: float

    @property
    def naive_to_numpy(self) -> float:
        """How many times as long as NumPy the loops take."""
        return self.naive_seconds / self.numpy_seconds

    @property
    def naive_to_keras(self) -> float:
        """How many times as long as Keras the loops take."""
        return self.naive_seconds / self.keras_seconds


def measure(*, batch_size: int = 128, units: int = 100) -> Iterable[Speed]:
    """Time each operation in all three ways, on one thread; yield each as it is done.

    Parameters
    ----------
    batch_size
        Images of 784 pixels in the batch.
    units
        Of the dense layer.

    Raises
    ------
    RuntimeError
        If two ways give different results.
    """
    backend.start(1)
    import keras
    from keras import ops

    rng = np.random.default_rng(0)
    x = rng.random((batch_size, 784), dtype=np.float32)
    kernel = rng.standard_normal((784, units), dtype=np.float32) * np.float32(0.05)
    bias = rng.standard_normal(units, dtype=np.float32)
    z = x @ kernel
    large = rng.standard_normal((64, 3, 32, 10), dtype=np.float32)
    small = rng.standard_normal((32, 10), dtype=np.float32)
    dense = keras.layers.Dense(units, activation="relu")
    dense.build((None, 784))
    dense.set_weights([kernel, bias])

    def naive_dense(x: Any, kernel: Any, bias: Any) -> Any:
        return naive.relu(naive.add(naive.matrix_matrix(x, kernel), bias))

    cases: tuple[tuple[str, tuple[Any, ...], Any, Any, Any], ...] = (
        ("relu", (z,), naive.relu, lambda z: np.maximum(z, 0), ops.relu),
        ("addition", (z, z), naive.add, np.add, ops.add),
        ("maximum, broadcast", (large, small), naive.maximum, np.maximum, ops.maximum),
        ("vector . vector", (x[0], x[1]), naive.vector_dot, np.dot, ops.dot),
        ("matrix . vector", (x, kernel[:, 0].copy()), naive.matrix_vector, np.matmul, ops.matmul),
        ("matrix . matrix", (x, kernel), naive.matrix_matrix, np.matmul, ops.matmul),
        (
            "dense layer, relu",
            (x, kernel, bias),
            naive_dense,
            lambda x, kernel, bias: np.maximum(x @ kernel + bias, 0),
            lambda x, *_: dense(x),
        ),
    )
    with threadpool_limits(1, user_api="blas"):
        for operation, arrays, loops, expression, keras_function in cases:
            tensors = [ops.convert_to_tensor(array) for array in arrays]
            results = loops(*arrays), expression(*arrays), keras_function(*tensors)
            if not all(np.allclose(results[0], other, atol=1e-4) for other in results[1:]):
                raise RuntimeError(f"{operation}: the three ways give different results")
            yield Speed(
                operation=operation,
                shapes=", ".join(str(array.shape).replace(",)", ")") for array in arrays),
                naive_seconds=_seconds_per_call(loops, arrays),
                numpy_seconds=_seconds_per_call(expression, arrays),
                keras_seconds=_seconds_per_call(keras_function, tensors),
            )


def _seconds_per_call(function: Callable[..., object], arguments: Sequence[Any]) -> float:
    """Return the median over samples; the caller has run the function once already."""
    started = time.process_time()
    function(*arguments)
    first = time.process_time() - started
    calls = max(1, round(_SAMPLE_SECONDS / max(first, 1e-7)))
    samples = []
    for _ in range(_SAMPLES):
        started = time.process_time()
        for _ in range(calls):
            function(*arguments)
        samples.append((time.process_time() - started) / calls)
    return median(samples)
