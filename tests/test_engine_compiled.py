"""The compiled epoch against Keras called step by step, and against itself."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from fitgap.config.schema import Config
from fitgap.data import datasets, splits
from fitgap.errors import RequestError
from fitgap.evaluation import scores as evaluation
from fitgap.evaluation.scores import Partitions
from fitgap.models import build
from fitgap.training import loop
from fitgap.training.engines import choice
from fitgap.training.engines import compiled as engine_compiled
from fitgap.training.engines.choice import Engine, EngineChoice

Compose = Callable[..., Config]
Weights = list[np.ndarray]

# float32 carries 24 bits, 6e-8 of a value. XLA sums in another order than TensorFlow's kernels,
# and 72 steps let such differences grow; measured on these cases: at most 4e-7 of the norm.
XLA_TOLERANCE = 5e-6

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw")
CASES = [
    *(f"optimizer={name}" for name in OPTIMIZERS),
    *(f"loss={name}" for name in ("categorical_crossentropy", "mse", "mae")),
    "loss=binary_crossentropy dataset.classes=[3,8]",
    "optimizer=adam +optimizer.clipnorm=0.01",
    "optimizer=sgd +optimizer.global_clipnorm=0.1 +optimizer.gradient_accumulation_steps=5",
    "training/schedule=cosine",
    "training/schedule=exponential",
    "architecture.l2=0.001",
    "architecture=dense_softmax",
    "architecture=dense_sigmoid_100",
    "architecture=dense_relu_512",
]
NOT_FOR_XLA = ["architecture=cnn_small", "architecture.dropout=0.3"]
EPOCHS = 2

# Computed once for both ways of compiling: half of this file's time would go into it.
_references: dict[str, Weights] = {}


@pytest.fixture(autouse=True)
def no_programs_of_other_tests() -> None:
    engine_compiled._programs.clear()


def data_for(config: Config) -> Partitions:
    dataset = datasets.load(config.dataset)
    split = splits.split_dataset(dataset, config.split)
    return evaluation.partition(dataset, split)


def built(config: Config, partitions: Partitions) -> keras.Model:
    steps = -(-len(partitions.train) // config.training.batch_size)
    return build.build(
        config,
        image_shape=partitions.train.x.shape[1:],
        num_classes=len(np.unique(partitions.train.y)),
        total_steps=steps * EPOCHS,
    )


def compiled(config: Config, partitions: Partitions, *, xla: bool) -> Engine:
    return choice.make(
        EngineChoice("compiled", xla=xla, reason="test"),
        model=built(config, partitions),
        train=partitions.train,
        config=config,
        callbacks=[],
    )


def order(config: Config, partitions: Partitions, *, epoch: int) -> np.ndarray:
    return loop.batch_order(len(partitions.train), seed=config.seed, epoch=epoch)


def trained_by_engine(config: Config, *, xla: bool) -> Weights:
    partitions = data_for(config)
    engine = compiled(config, partitions, xla=xla)
    for epoch in range(1, EPOCHS + 1):
        engine.run_epoch(order(config, partitions, epoch=epoch))
    return engine.model.get_weights()


def trained_by_train_on_batch(config: Config) -> Weights:
    partitions = data_for(config)
    model = built(config, partitions)
    x, units = partitions.train.x, model.output_shape[-1]
    y = evaluation.encode_labels(partitions.train.y, config.loss.labels, num_classes=units)
    for epoch in range(1, EPOCHS + 1):
        images = order(config, partitions, epoch=epoch)
        for start in range(0, len(images), config.training.batch_size):
            batch = images[start : start + config.training.batch_size]
            model.train_on_batch(x[batch], y[batch])
    return model.get_weights()


def reference(case: str, config: Config) -> Weights:
    if case not in _references:
        _references[case] = trained_by_train_on_batch(config)
    return _references[case]


def relative_difference(expected: Weights, actual: Weights) -> float:
    def norm(weights: Weights) -> float:
        return float(np.sqrt(sum(np.sum(np.square(w, dtype=np.float64)) for w in weights)))

    return norm([a - e for e, a in zip(expected, actual, strict=True)]) / norm(expected)


@pytest.mark.parametrize("case", [*CASES, *NOT_FOR_XLA])
def test_without_xla_it_gives_the_bits_of_train_on_batch(compose: Compose, case: str) -> None:
    config = compose(*case.split())
    expected = reference(case, config)
    actual = trained_by_engine(config, xla=False)
    assert all(map(np.array_equal, expected, actual))


@pytest.mark.parametrize("case", CASES)
def test_with_xla_it_agrees_with_train_on_batch_to_rounding(compose: Compose, case: str) -> None:
    config = compose(*case.split())
    expected = reference(case, config)
    actual = trained_by_engine(config, xla=True)
    assert relative_difference(expected, actual) < XLA_TOLERANCE


@pytest.mark.parametrize(
    ("batch_size", "steps"), [(32, 36), (1149, 1), (1148, 2), (2000, 1)], ids=str
)
def test_the_last_smaller_batch_counts(compose: Compose, batch_size: int, steps: int) -> None:
    config = compose(f"training.batch_size={batch_size}")
    partitions = data_for(config)
    engine = compiled(config, partitions, xla=True)
    engine.run_epoch(order(config, partitions, epoch=1))
    assert len(partitions.train) == 1149
    assert int(engine.model.optimizer.iterations.numpy()) == steps


def test_running_averages_weigh_every_image_once(compose: Compose) -> None:
    config = compose("optimizer=sgd", "training.batch_size=1000")
    partitions = data_for(config)
    engine = compiled(config, partitions, xla=False)
    images = order(config, partitions, epoch=1)
    before = engine.evaluate(
        evaluation.Partition(partitions.train.x[images[:1000]], partitions.train.y[images[:1000]])
    )
    engine.run_epoch(images[:1000])
    rest = evaluation.Partition(
        partitions.train.x[images[1000:]], partitions.train.y[images[1000:]]
    )
    after = engine.evaluate(rest)

    engine = compiled(config, partitions, xla=False)
    running = engine.run_epoch(images)
    assert running.loss == pytest.approx((1000 * before.loss + 149 * after.loss) / 1149, rel=1e-6)


@pytest.mark.parametrize("xla", [True, False], ids=["xla", "plain"])
@pytest.mark.parametrize("case", ["optimizer=adam", "architecture=dense_batch_norm_dropout"])
def test_a_program_used_again_gives_the_bits_of_a_fresh_one(
    compose: Compose, case: str, xla: bool
) -> None:
    config = compose(case, "seed=3")
    fresh = trained_by_engine(config, xla=xla)
    assert len(engine_compiled._programs) == 1
    trained_by_engine(compose(case, "seed=4", "optimizer.learning_rate=0.01"), xla=xla)
    again = trained_by_engine(config, xla=xla)
    assert len(engine_compiled._programs) == 1
    assert all(map(np.array_equal, fresh, again))


def test_another_graph_gets_a_program_of_its_own(compose: Compose) -> None:
    for override in ("optimizer=adam", "optimizer.rho=0.8", "training.batch_size=64"):
        trained_by_engine(compose(override), xla=False)
    assert len(engine_compiled._programs) == 3


def test_programs_of_large_models_make_room_for_the_latest(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    # dense_relu_100 on digits under adam: 7,510 weights, two slots each, a few counters.
    trained_by_engine(compose("optimizer=adam"), xla=False)
    assert engine_compiled._model_bytes() == pytest.approx(3 * 4 * 7510, rel=0.01)
    monkeypatch.setattr(engine_compiled, "_MAX_MODEL_BYTES", 2 * 3 * 4 * 7510)
    trained_by_engine(compose("optimizer=adamw"), xla=False)
    trained_by_engine(compose("optimizer=adam"), xla=False)
    (kept,) = engine_compiled._programs.values()
    assert type(kept.model.optimizer).__name__ == "Adam"


@pytest.mark.parametrize(
    "case",
    [
        "architecture=dense_batch_norm_dropout optimizer=adam",
        "optimizer=adam +optimizer.gradient_accumulation_steps=5",  # of 36: half an update waits
    ],
)
def test_its_state_brings_back_weights_optimizer_and_random_numbers(
    compose: Compose, case: str
) -> None:
    config = compose(*case.split())
    partitions = data_for(config)
    engine = compiled(config, partitions, xla=False)
    engine.run_epoch(order(config, partitions, epoch=1))
    state = engine.state()
    engine.run_epoch(order(config, partitions, epoch=2))
    once = engine.model.get_weights()
    engine.set_state(state)
    engine.run_epoch(order(config, partitions, epoch=2))
    assert all(map(np.array_equal, once, engine.model.get_weights()))


def test_it_scores_as_model_evaluate_does(compose: Compose) -> None:
    config = compose("architecture.l2=0.01")
    partitions = data_for(config)
    engine = compiled(config, partitions, xla=True)
    scores = engine.evaluate(partitions.test)
    expected = engine.model.evaluate(
        partitions.test.x, partitions.test.y, verbose=0, return_dict=True
    )
    assert scores["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-7)
    assert scores.loss == pytest.approx(expected["loss"], rel=1e-6)


def test_a_callback_between_batches_is_refused_by_name(compose: Compose) -> None:
    config = compose()
    partitions = data_for(config)
    with pytest.raises(RequestError, match=r"TerminateOnNaN .* training\.engine=fit"):
        choice.make(
            EngineChoice("compiled", xla=False, reason="test"),
            model=built(config, partitions),
            train=partitions.train,
            config=config,
            callbacks=[keras.callbacks.TerminateOnNaN()],
        )
