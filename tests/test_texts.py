"""Texts and token ids: read, learned from, and taken as they are by the saved model."""

import os

import mlflow
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf  # noqa: F401 - before the threads of a run are fixed

from fitgap import experiment, prediction
from fitgap.config.schema import NpzConfig, SplitConfig, TextsConfig
from fitgap.data import datasets, preprocessing, splits, texts
from fitgap.data.parts import Format
from fitgap.errors import RequestError
from fitgap.models import sequences
from fitgap.report import prediction_tables
from fitgap.store import recorded

ARCHITECTURES = ("text_average", "text_conv", "text_transformer")
HELD_OUT = {"test_fraction": 0.2, "test_seed": 42}
OF_CLASS = {"animal": ["Katze,", "dog!", "HORSE", "Kühe"], "tool": ["hammer", "saw.", "axe", "Ä-b"]}
OTHERS = ["the", "and", "a", "of", "quite", "red", "(big)", "it's", "x1"]


def sentence(label, random):
    words = [*random.choice(OTHERS, 8), *random.choice(OF_CLASS[label], 2)]
    return " ".join(random.permutation(words).tolist())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of a folder of texts for each of two classes."""
    path, random = tmp_path_factory.mktemp("texts") / "texts", np.random.default_rng(0)
    for label in OF_CLASS:
        (path / label).mkdir(parents=True)
        for i in range(120):
            (path / label / f"{i}.txt").write_text(sentence(label, random), encoding="utf-8")
    return path


def trained(compose, uri, *words):
    settings = compose(*words, f"tracking.uri={uri}", "optimizer=adam", task=None)
    result = experiment.run(experiment.plan(settings))
    return result, recorded.open_run(result.run_id, uri=uri)


def assert_recorded(run, result):
    """Return what the saved model says of the test part, having compared it with the record."""
    dataset = prediction.load_dataset(run)
    model = prediction.load_model(run)
    tested = prediction.predict_test_images(model, dataset, range(len(dataset.y_test)))
    accuracy = np.mean(tested.predicted == dataset.y_test)
    assert accuracy == pytest.approx(result.metrics["test/accuracy"], abs=1e-6)
    return dataset, model, tested


@pytest.mark.parametrize(
    "text",
    [
        "Don't STOP, it's 3.5!",
        "Größe ÄÖÜ straße\u00a0x",
        "a\tb\n\rc\x0bd",
        "[x]_^`{|}~ back\\slash a-b",
        "\u65e5\u672c\u8a9e \u3002",
        "",
    ],
)
def test_words_are_those_of_keras(text):
    import keras

    words = texts.words_of(text)
    layer = keras.layers.TextVectorization(
        vocabulary=sorted(set(words)) or ["-"], output_sequence_length=12
    )
    known = layer.get_vocabulary()
    numbers = np.asarray(layer([text]))[0]
    assert [known[number] for number in numbers if number] == words


def test_the_vocabulary_is_of_the_training_partition_alone(folder):
    config = TextsConfig("texts", path=str(folder), length=12, vocabulary=10000, **HELD_OUT)
    dataset = datasets.load(config)
    split = splits.split_dataset(dataset, SplitConfig("holdout", 0.98, 0, False))
    encoded, learned = preprocessing.encoded(dataset, split)
    seen = np.unique(dataset.x_train[split.train])
    assert set(learned.words.known) == {dataset.words.known[i - 2] for i in seen if i >= 2}
    assert (encoded.x_train[split.val] == texts.UNKNOWN).any()
    assert encoded.num_tokens == len(learned.words.known) + 2
    assert encoded.x_train.dtype == np.int32


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_texts_are_learned_and_taken_as_they_are(compose, tracking_uri, folder, architecture):
    result, run = trained(
        *(compose, tracking_uri, "dataset=texts", f"dataset.path={folder}"),
        *(f"architecture={architecture}", "training.epochs=12", "dataset.length=16"),
    )
    assert result.metrics["test/accuracy"] > 0.8
    dataset, _, tested = assert_recorded(run, result)
    paths = [folder / name for name in dataset.test.names]
    by_file = prediction.predict_texts(run, paths)
    np.testing.assert_allclose(by_file.outputs, tested.outputs, atol=1e-6)
    assert f"{paths[0].name}" in prediction_tables.to_json(run, by_file)
    mlflow.set_tracking_uri(run.uri)
    served = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model")
    frame = pd.DataFrame({"text": [path.read_text("utf-8") for path in paths]})
    np.testing.assert_allclose(served.predict(frame), tested.outputs, atol=1e-6)
    assert np.isfinite(served.predict(pd.DataFrame({"text": ["", "?!"]}))).all()


@pytest.mark.slow
def test_a_column_of_text_is_learned(compose, tracking_uri, tmp_path):
    random = np.random.default_rng(1)
    labels = ["animal", "tool"] * 100
    frame = pd.DataFrame({"n": range(200), "said": [sentence(each, random) for each in labels]})
    frame.assign(kind=labels).to_csv(tmp_path / "said.csv", index=False)
    result, run = trained(
        *(compose, tracking_uri, "dataset=texts", f"dataset.path={tmp_path}/said.csv"),
        *("dataset.text=said", "dataset.label=kind", "architecture=text_average"),
        *("training.epochs=20", "dataset.length=16"),
    )
    assert result.metrics["test/accuracy"] > 0.8
    frame.head(3).to_parquet(tmp_path / "new.parquet")
    assert prediction.predict_rows(run, tmp_path / "new.parquet").outputs.shape == (3, 2)


@pytest.mark.slow
def test_token_ids_are_learned_and_stay_whole(compose, tracking_uri, tmp_path):
    random = np.random.default_rng(2)
    y = np.arange(300) % 2
    x = random.integers(4, 50, (300, 12))
    x[np.arange(300), random.integers(0, 12, 300)] = 1 + y  # one token tells
    np.savez(tmp_path / "t.npz", x=x, y=y)
    result, run = trained(
        *(compose, tracking_uri, "dataset=npz", f"dataset.path={tmp_path}/t.npz"),
        *("dataset.layout=tokens", "architecture=text_conv", "training.epochs=15"),
    )
    assert result.metrics["test/accuracy"] > 0.8
    _, model, _ = assert_recorded(run, result)
    assert model.inputs[0].dtype == "int32"


def test_what_does_not_fit_is_refused(compose, folder, tmp_path):
    np.savez(tmp_path / "t.npz", x=np.full((40, 3), 0.5), y=np.arange(40) % 2)
    with pytest.raises(RequestError, match="whole numbers from 0"):
        datasets.load(NpzConfig("npz", path=f"{tmp_path}/t.npz", layout="tokens", **HELD_OUT))
    settings = compose("dataset=texts", f"dataset.path={folder}", task=None)
    with pytest.raises(RequestError, match="holds token ids: use one that begins with an Embed"):
        experiment.plan(settings)
    settings = compose("dataset=digits", "architecture=text_conv", task=None)
    with pytest.raises(RequestError, match="takes token ids"):
        experiment.plan(settings)
    (tmp_path / "a" / "b").mkdir(parents=True)
    of_a = TextsConfig("texts", path=f"{tmp_path}/a", length=9, vocabulary=9, **HELD_OUT)
    with pytest.raises(RequestError, match=r"must be \.txt files"):
        datasets.load(of_a)
    (tmp_path / "a" / "b" / "mark.txt").write_text("?!")
    with pytest.raises(RequestError, match="no text contains a word"):
        datasets.load(of_a)


@pytest.mark.parametrize("architecture", [sequences.average, sequences.transformer])
def test_a_row_of_padding_alone_gives_numbers(architecture):
    import keras

    given = keras.Input((4,), dtype="int32")
    heads = {} if architecture is sequences.average else {"heads": 2}
    made = architecture(given, num_tokens=9, width=8, dropout=0.0, **heads)
    model = keras.Model(given, made)
    outputs = model.predict(np.array([[0, 0, 0, 0], [3, 1, 0, 0]], np.int32), verbose=0)
    assert np.isfinite(outputs).all()
    if not heads:
        np.testing.assert_allclose(outputs[1], model.layers[1].embeddings.numpy()[[3, 1]].mean(0))


def test_the_labels_of_all_parts_together_are_numbers_or_text(tmp_path):
    for part, classes in (("train", ("1", "2", "x")), ("val", ("1.0", "2")), ("test", ("1", "2"))):
        for label in classes:
            for i in range(4):
                path = tmp_path / part / label / f"{i}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"word {label} {i}")
    config = TextsConfig("texts", path=str(tmp_path), length=5, vocabulary=99, **HELD_OUT)
    assert datasets.load(config).class_names == ("1", "1.0", "2", "x")


def test_files_that_are_no_texts_of_a_class_are_counted_and_a_pipe_is_refused(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(5):
            (tmp_path / label / f"{i}.txt").write_text(f"{label} word {i}")
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "a" / "notes.pdf").write_text("x")
    config = TextsConfig("texts", path=str(tmp_path), length=5, vocabulary=9, **HELD_OUT)
    (said,) = datasets.load(config).notes
    assert "no .txt files of a class: 2 files (README.txt, a/notes.pdf)" in said
    os.mkfifo(tmp_path / "a" / "pipe.txt")
    with pytest.raises(RequestError, match=r"pipe\.txt is not a regular file"):
        datasets.load(config)
    with pytest.raises(RequestError, match=r"none\.txt cannot be read: No such file"):
        texts.read_files([tmp_path / "none.txt"], config, usual=Format())


def test_a_row_of_texts_without_a_target_is_named_with_the_way_to_leave_it_out(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text(
        "text,label\n" + "".join(f"word {i},{'ab'[i % 2]}\n" for i in range(9)) + "x,\n"
    )
    config = TextsConfig("texts", path=str(path), length=5, vocabulary=9, **HELD_OUT)
    with pytest.raises(
        RequestError, match=r"row 10; 1 of 10 rows .* dataset\.skip_unreadable=true"
    ):
        datasets.load(config)
