"""Features of one's own reach the network normalised, in every engine and in the saved model."""

import keras
import numpy as np
import pytest

from fitgap.data.preprocessing import Embedded
from fitgap.evaluation.scores import Partition
from fitgap.models import build as models
from fitgap.models.scaling import FeatureScaling, feature_scaling
from fitgap.training.engines import choice as engines
from fitgap.training.engines.choice import EngineChoice

rng = np.random.default_rng(4)


def test_vectors_have_a_mean_and_a_variance_per_feature():
    x = np.array([[1, 5, 2], [3, 5, 2], [5, 5, 8]], np.float32)
    scaling = feature_scaling(x)
    assert scaling.axis == -1
    assert scaling.mean == [3, 5, 4]
    # A constant feature is only centred.
    np.testing.assert_allclose(scaling.variance, [8 / 3, 1, 8])


def test_images_of_floats_share_one_mean_and_variance():
    x = rng.normal(3, 2, (20, 4, 5)).astype(np.float32)
    scaling = feature_scaling(x)
    assert scaling.axis is None
    assert scaling.mean == pytest.approx(x.astype(np.float64).mean(), rel=1e-12)
    assert scaling.variance == pytest.approx(x.astype(np.float64).var(), rel=1e-9)


def test_large_offsets_lose_no_variance():
    x = (1e6 + np.arange(10)[:, None] % 2).astype(np.float32)
    assert feature_scaling(x) == FeatureScaling(axis=-1, mean=[1e6 + 0.5], variance=[0.25])


def test_bytes_need_none():
    assert feature_scaling(np.zeros((2, 3), np.uint8)) is None


def build(config, scaling, *, shape=(3,)):
    return models.build(config, image_shape=shape, num_classes=2, total_steps=1, scaling=scaling)


def data(scale):
    x = (rng.normal(size=(60, 3)) * scale + 7).astype(np.float32)
    return Partition(x, (x[:, 0] > 7).astype(np.int64))


@pytest.mark.parametrize("name", ["compiled", "fit"])
def test_every_run_uses_the_scaling_of_its_own_data(compose, name):
    # The compiled engine keeps programs for later runs: other constants must be another program.
    config = compose("architecture=dense_softmax", "training.batch_size=16")
    choice = EngineChoice(name, xla=False, reason="asked for")
    for partition in (data(1), data(1000)):
        scaling = feature_scaling(partition.x)
        model = build(config, scaling)
        engine = engines.make(choice, model=model, train=partition, config=config, callbacks=[])
        engine.run_epoch(np.arange(60, dtype=np.int32))
        kernel, bias = engine.model.get_weights()
        normal = (partition.x - scaling.mean) / np.sqrt(scaling.variance)
        logits = normal @ kernel + bias
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(engine.predict(partition.x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["compiled", "fit"])
def test_a_vector_is_learned_for_each_category(compose, name):
    # Alternating categories, which no line through their numbers tells apart.
    config = compose(
        *("architecture=dense_softmax", "training.batch_size=16", "optimizer.learning_rate=1"),
        *("training.precision=mixed_bfloat16",),
    )
    choice = EngineChoice(name, xla=False, reason="asked for")
    number = np.arange(60) % 10 + 1000  # more than half precision counts to
    x = np.stack([rng.normal(7, 2, 60), number], axis=1).astype(np.float32)
    train = Partition(x, number % 2)
    for output_dim in (2, 5):  # of the same shape outside: the program is another one
        scaling = feature_scaling(x, [Embedded(1, input_dim=1012, output_dim=output_dim)])
        assert (scaling.mean[1], scaling.variance[1]) == (0, 1)
        model = build(config, scaling, shape=(2,))
        assert model.layers[-1].input.shape == (None, 1 + output_dim)
        engine = engines.make(choice, model=model, train=train, config=config, callbacks=[])
        before = engine.model.get_weights()[0]
        for _ in range(60):
            engine.run_epoch(np.arange(60, dtype=np.int32))
        assert (engine.predict(x).argmax(axis=1) == train.y).all()
        vectors = engine.model.get_weights()[0]
        assert vectors.shape == (1012, output_dim)
        np.testing.assert_array_equal(vectors[:1000], before[:1000])


@pytest.mark.parametrize("shape", [(3,), (4, 5)])
def test_the_saved_model_takes_raw_features(compose, tmp_path, shape):
    x = rng.normal(50, 9, (30, *shape)).astype(np.float32)
    model = build(compose("architecture=dense_softmax"), feature_scaling(x), shape=shape)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    normal = model.layers[0](x)
    np.testing.assert_allclose(np.mean(normal), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(normal), 1, rtol=1e-4)
