"""A run's network, loaded from the record, says again what it said when it was recorded."""

import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fitgap import config, experiment, prediction, store
from fitgap.errors import RequestError
from fitgap.prediction import Predictions

SCRIPT = config.PROJECT_ROOT / "scripts" / "predict.py"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def recorded(compose, template_database, tmp_path_factory):
    """Return the store of one finished run on the digits, and the run's result."""
    folder = tmp_path_factory.mktemp("predictions")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    settings = compose(
        "training.epochs=3", "architecture=dense", "architecture.units=[32]", f"tracking.uri={uri}"
    )
    return uri, experiment.run(experiment.plan(settings))


@pytest.fixture(scope="module")
def loaded(recorded):
    uri, result = recorded
    run = prediction.load_run(result.run_id, uri=uri)
    return run, prediction.load_dataset(run)


@pytest.fixture
def by_hand():
    """Return two images: a right answer and a wrong one."""
    return Predictions(
        indices=[4, 7],
        images=np.zeros((2, 8, 8), np.uint8),
        labels=np.array([1, 2]),
        probabilities=np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]], np.float32),
        class_names=("하나", "둘", "셋"),
    )


def test_loaded_network_scores_what_the_record_says(recorded, loaded):
    _, result = recorded
    run, dataset = loaded
    everything = prediction.predict_test_images(run, dataset, range(len(dataset.y_test)))
    accuracy = np.mean(everything.predicted == dataset.y_test)
    assert accuracy == pytest.approx(result.metrics["test/accuracy"], abs=1e-6)
    np.testing.assert_allclose(everything.probabilities.sum(axis=1), 1, atol=1e-5)


def test_chosen_images_come_in_the_order_asked_for(loaded):
    run, dataset = loaded
    chosen = prediction.predict_test_images(run, dataset, [12, 3])
    alone = prediction.predict_test_images(run, dataset, [3])
    assert chosen.labels.tolist() == dataset.y_test[[12, 3]].tolist()
    np.testing.assert_array_equal(chosen.images[1], dataset.x_test[3])
    np.testing.assert_allclose(chosen.probabilities[1], alone.probabilities[0], atol=1e-6)


def test_predicted_class_is_the_most_probable(by_hand):
    assert by_hand.predicted.tolist() == [1, 0]
    assert by_hand.confidence.tolist() == pytest.approx([0.7, 0.5])


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("0", [0]),
        ("0-3", [0, 1, 2, 3]),
        ("3,7,5", [3, 7, 5]),
        ("8-9, 1", [8, 9, 1]),
        ("4-4", [4]),
    ],
)
def test_choice_of_images_is_read(text, indices):
    assert prediction.parse_indices(text, count=10) == indices


@pytest.mark.parametrize("text", ["", "a", "-1", "3-", "5-2", "1.5", "1,,2", "0-1-2"])
def test_misspelt_choice_of_images_is_a_wrong_request(text):
    with pytest.raises(RequestError, match="--images must look like"):
        prediction.parse_indices(text, count=10)


@pytest.mark.parametrize("text", ["10", "0-10", "0-99999999999"])
def test_image_that_is_not_there_is_a_wrong_request(text):
    with pytest.raises(RequestError, match="from 0 to 9"):
        prediction.parse_indices(text, count=10)


@pytest.mark.parametrize("run_id", ["nope", "0" * 32, "a/b", ""])
def test_unknown_run_is_a_wrong_request(run_id, recorded):
    with pytest.raises(RequestError, match="there is no run"):
        prediction.load_run(run_id, uri=recorded[0])


def test_absent_store_is_a_wrong_request_and_stays_absent(tmp_path):
    with pytest.raises(RequestError, match="there are no runs"):
        prediction.load_run("0" * 32, uri=f"sqlite:///{tmp_path}/mistyped.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("role", "said"), [("sweep", "a sweep"), ("run", "RUNNING")])
def test_run_without_a_model_is_a_wrong_request(role, said, tracking_uri):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    run_id = client.create_run("0", tags={"fitgap.role": role}).info.run_id
    with pytest.raises(RequestError, match=said):
        prediction.load_run(run_id, uri=tracking_uri)


@pytest.mark.parametrize("file_name", ["config.yaml", "model.keras"])
def test_record_whose_files_are_gone_is_a_wrong_request(file_name, recorded):
    uri, result = recorded
    (path,) = Path(uri.removeprefix("sqlite:///")).parent.glob(f"mlartifacts/**/{file_name}")
    away = path.rename(path.with_name("away"))
    try:
        with pytest.raises(RequestError, match="cannot be read"):
            prediction.load_run(result.run_id, uri=uri)
    finally:
        away.rename(path)


def test_altered_dataset_is_a_wrong_request(loaded):
    run, _ = loaded
    with pytest.raises(RequestError, match="recorded abcdef00"):
        prediction.load_dataset(replace(run, dataset_digest="abcdef0012"))


def test_data_directory_of_another_machine_does_not_matter(loaded, tmp_path):
    run, dataset = loaded
    elsewhere = replace(run.config.dataset, data_dir=str(tmp_path / "gone"))
    moved = replace(run, config=replace(run.config, dataset=elsewhere))
    assert prediction.load_dataset(moved).digest == dataset.digest


def test_table_marks_wrong_predictions(by_hand):
    console = Console(width=80)
    with console.capture() as capture:
        console.print(prediction.to_table(by_hand))
    right, wrong = capture.get().splitlines()[2:4]
    assert right.split() == ["4", "둘", "둘", "0.7000"]
    assert wrong.split() == ["7", "셋", "하나", "0.5000", "wrong"]


def test_json_has_all_probabilities(loaded, by_hand):
    found = json.loads(prediction.to_json(loaded[0], by_hand))
    assert found["classes"] == ["하나", "둘", "셋"]
    assert found["images"][0]["probabilities"] == pytest.approx([0.1, 0.7, 0.2])
    assert [found["images"][0][key] for key in ("index", "true", "predicted")] == [4, "둘", "둘"]


@pytest.mark.parametrize("count", [1, 7, 101])
def test_picture_has_a_panel_for_each_image_up_to_its_limit(count):
    from fitgap import figures

    images = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((8, 8), np.uint8)
    figure = figures.predictions(
        Predictions(
            indices=range(count),
            images=images,
            labels=np.zeros(count, np.int64),
            probabilities=np.tile(np.array([0.25, 0.75], np.float32), (count, 1)),
            class_names=("zero", "one"),
        )
    )
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == min(count, figures.MOST_IMAGES)
    for i, axes in enumerate(panels):
        np.testing.assert_array_equal(axes.images[0].get_array(), images[i])
        assert axes.get_title() == f"✗ one, p = 0.7500\nimage {i}, true: zero"


@pytest.fixture
def predict(monkeypatch, capsys, tmp_path):
    """Return a function that runs scripts/predict.py in this process and an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return caught.value.code, capsys.readouterr()

    return run


def test_script_prints_and_draws_the_first_ten(predict, recorded, loaded):
    uri, result = recorded
    code, output = predict(result.run_id, "--uri", uri)
    assert code == 0
    rows = [line.split() for line in output.out.splitlines()[-10:]]
    assert [row[0] for row in rows] == [str(i) for i in range(10)]
    assert [row[1] for row in rows] == [str(label) for label in loaded[1].y_test[:10]]
    picture = Path("reports") / f"predictions-{result.run_id[:8]}.png"
    assert str(picture) in output.err
    assert picture.read_bytes().startswith(PNG_SIGNATURE)


def test_script_writes_json_and_nothing_else_to_its_output(predict, recorded):
    uri, result = recorded
    arguments = ("--uri", uri, "--images", "3,7", "--format", "json", "--picture", "a/b.png")
    code, output = predict(result.run_id, *arguments)
    assert code == 0
    assert [image["index"] for image in json.loads(output.out)["images"]] == [3, 7]
    assert Path("a/b.png").read_bytes().startswith(PNG_SIGNATURE)


@pytest.mark.parametrize("arguments", [["--images", "0-360"], ["--picture", "/dev/null/a.png"]])
def test_wrong_request_is_one_line_and_exit_code_2(arguments, predict, recorded):
    uri, result = recorded
    code, output = predict(result.run_id, "--uri", uri, *arguments)
    assert code == 2
    assert output.err.startswith("error: ")
    assert len(output.err.splitlines()) == 1


def test_first_test_image_of_mnist_is_a_7(real_data, compose, tracking_uri, monkeypatch):
    monkeypatch.setenv("FITGAP_DATA_DIR", str(real_data))
    settings = compose(
        "experiment=mnist_dense_rmsprop_sparse",
        "architecture=dense_relu_100",  # the preset's 512 units take several times as long
        "training.epochs=1",
        f"tracking.uri={tracking_uri}",
    )
    result = experiment.run(experiment.plan(settings))
    run = prediction.load_run(result.run_id, uri=store.resolve_uri(tracking_uri))
    first = prediction.predict_test_images(run, prediction.load_dataset(run), [0])
    assert first.labels.tolist() == first.predicted.tolist() == [7]
    assert first.confidence[0] > 0.99
