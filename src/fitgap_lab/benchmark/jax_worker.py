"""The yardstick of the compiled epoch: the same training in JAX, written by hand for one network.

One hidden relu layer of 100 units, a softmax over 10 classes, Keras's Adam, its running loss and
accuracy; the whole epoch is one ``lax.scan`` over batches gathered from resident uint8 images.
JAX is no dependency of this project, so this module needs nothing but JAX and NumPy.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fitgap_lab.benchmark.processes import serve

# Keras's defaults.
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-7

Tree = Any  # JAX has no type for a tree of arrays


class Scan:
    """Trains one network, an epoch a call."""

    def build(self, *, x: str, y: str, batch_size: int, seed: int) -> dict[str, Any]:
        """Load the data, draw the weights, run the first epoch and with it the compilation.

        Parameters
        ----------
        x, y
            Paths of NumPy files: uint8 (n, height, width), int64 (n,).
        batch_size
            Images per step; the last, smaller batch counts.
        seed
            Of weights and batch order.
        """
        started = time.perf_counter()
        self._x, self._y = jnp.asarray(np.load(x)), jnp.asarray(np.load(y), jnp.int32)
        self._batch_size = batch_size
        self._random = np.random.default_rng(seed)
        parameters = _initial_parameters(self._random, inputs=int(np.prod(self._x.shape[1:])))
        # Two trees of zeros: a buffer can be given away once only.
        first, second = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
        self._state = (parameters, first, second, jnp.zeros((), jnp.int32))
        built = time.perf_counter() - started
        return {"build_seconds": built, "first_seconds": self.epoch()["seconds"]}

    def epoch(self) -> dict[str, float]:
        """Train one epoch; the order of the images is drawn within the time."""
        started = time.perf_counter()
        order = self._random.permutation(len(self._x)).astype(np.int32)
        full = len(order) // self._batch_size * self._batch_size
        batches = order[:full].reshape(-1, self._batch_size)
        self._state, losses, hits = _run_epoch(self._state, self._x, self._y, batches, order[full:])
        loss, accuracy = float(losses) / len(order), float(hits) / len(order)  # waits for the end
        return {"seconds": time.perf_counter() - started, "loss": loss, "accuracy": accuracy}


def _initial_parameters(random: np.random.Generator, *, inputs: int) -> Tree:
    """Draw Glorot-uniform kernels, as Keras does."""
    parameters = []
    for rows, columns in ((inputs, 100), (100, 10)):
        limit = np.sqrt(6 / (rows + columns))
        kernel = random.uniform(-limit, limit, (rows, columns))
        parameters.append((jnp.asarray(kernel, jnp.float32), jnp.zeros(columns, jnp.float32)))
    return parameters


def _loss(parameters: Tree, x: Any, y: Any) -> tuple[Any, Any]:
    (kernel_1, bias_1), (kernel_2, bias_2) = parameters
    scaled = x.reshape(len(x), -1).astype(jnp.float32) / 255
    logits = jax.nn.relu(scaled @ kernel_1 + bias_1) @ kernel_2 + bias_2
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    return -chosen.mean(), (logits.argmax(axis=1) == y).sum()


def _step(state: Tree, x: Any, y: Any) -> tuple[Tree, Any, Any]:
    """Take one step of Adam (Kingma and Ba 2014, the order of operations of section 2)."""
    parameters, first, second, count = state
    (loss, hits), gradients = jax.value_and_grad(_loss, has_aux=True)(parameters, x, y)
    count = count + 1
    t = count.astype(jnp.float32)
    rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    first = jax.tree.map(lambda m, g: m + (g - m) * (1 - BETA_1), first, gradients)
    second = jax.tree.map(lambda v, g: v + (g * g - v) * (1 - BETA_2), second, gradients)
    parameters = jax.tree.map(
        lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), parameters, first, second
    )
    return (parameters, first, second, count), loss * len(x), hits


def _epoch(state: Tree, x: Any, y: Any, batches: Any, rest: Any) -> tuple[Tree, Any, Any]:
    """Run an epoch and return the new state, the summed loss and the number of right answers.

    Parameters
    ----------
    state
        Weights, Adam's two moments, steps taken.
    x, y
        All images and labels.
    batches
        int32 of shape (steps, batch_size): the images of each full batch.
    rest
        int32 of shape (smaller than batch_size,): the images of the last one.
    """

    def body(carry: Tree, indices: Any) -> tuple[Tree, None]:
        state, losses, hits = carry
        state, loss, right = _step(state, x[indices], y[indices])
        return (state, losses + loss, hits + right), None

    start = (state, jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32))
    (state, losses, hits), _ = jax.lax.scan(body, start, batches)
    if len(rest):
        (state, losses, hits), _ = body((state, losses, hits), rest)
    return state, losses, hits


# The old state's memory becomes the new one's.
_run_epoch = jax.jit(_epoch, donate_argnums=0)


if __name__ == "__main__":
    serve(Scan())
