"""Keras and the reference agree, and where they would not, the verification says so."""

import dataclasses
import json
import math

import numpy as np
import pytest
from rich.console import Console

from fitgap.data import datasets
from fitgap.errors import RequestError
from fitgap.reference.optimizers import SGD
from fitgap_lab.verification import naive_speed, steps, verify
from fitgap_lab.verification.checks import EpochCheck, StepCheck, Verification, relative_difference
from fitgap_lab.verification.report import conclusion, print_tables, to_json, to_markdown


@pytest.fixture(scope="session")
def short():
    """Every operation once, and an epoch of 320 digits for every optimizer and every loss."""
    smooth = [case for case in verify.EPOCH_CASES if case.activation == "sigmoid"]
    return verify.verify(
        dataset="digits",
        train_samples=320,
        cases=[*smooth, verify.Case("relu", "adam")],
        control_seeds=(1,),
    )


def test_every_step_and_every_epoch_agree(short):
    assert conclusion(short) == "all 50 checks agree"
    assert short.agrees


def test_every_optimizer_and_every_loss_is_among_the_checks(short):
    steps = {(step.kind, step.name) for step in short.steps}
    for name in verify.OPTIMIZERS:
        assert ("optimizer", name) in steps
    for name in verify.LOSSES:
        assert ("loss", name) in steps
    assert {epoch.optimizer for epoch in short.epochs} == set(verify.OPTIMIZERS)
    others = {"numbers", "numbers, mae", "label_sets"}
    assert {("loss", name) for name in others} <= steps
    assert {epoch.loss for epoch in short.epochs} == {*verify.LOSSES, *others}


def test_an_epoch_without_a_kink_agrees_to_the_last_digits(short):
    assert max(e.difference for e in short.epochs if e.activation == "sigmoid") < 5e-6


def test_wrong_formulas_are_found_and_named(monkeypatch):
    right = steps.network

    def without_decay(*arguments, **settings):
        network = right(*arguments, **settings)
        network.optimizer.weight_decay = None
        return network

    # One part in 100,000 too far, and Adam in the place of AdamW.
    monkeypatch.setattr(SGD, "_change", lambda self, g, _: -1.00001 * self.learning_rate * g)
    monkeypatch.setattr(steps, "network", without_decay)
    result = verify.verify(dataset="digits", cases=())
    assert conclusion(result) == (
        "4 of 34 out of tolerance: optimizer sgd; optimizer momentum; optimizer nesterov; "
        "optimizer adamw"
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([[1.0, 2.0]], [[1.0, 4.0]], 0.5),
        ([[1.0], [30.0]], [[1.0], [40.0]], 0.25),
        ([[0.0]], [[0.0]], 0.0),
        ([[0.25]], [[0.0]], 0.25),
        ([[1.0], [math.nan]], [[1.0], [1.0]], math.nan),
        ([[math.nan], [1.0]], [[1.0], [1.0]], math.nan),
    ],
)
def test_a_difference_is_relative_to_its_own_array(ours, theirs, expected):
    arrays = [[np.array(each) for each in side] for side in (ours, theirs)]
    assert relative_difference(*arrays) == pytest.approx(expected, nan_ok=True)


def test_arrays_of_different_shapes_are_not_compared():
    with pytest.raises(ValueError, match=r"one shape .* \(1, 2\), \(2,\)"):
        relative_difference([np.zeros((1, 2))], [np.zeros(2)])


RELU = EpochCheck(
    activation="relu",
    optimizer="adam",
    loss=verify.SPARSE,
    difference=0.2,
    control=0.1,
    score_numpy=0.80,
    score_keras=0.84,
    val_samples=100,
)


@pytest.mark.parametrize(
    ("change", "agrees"),
    [
        ({}, True),
        ({"difference": 0.31}, False),
        ({"difference": math.nan}, False),
        ({"activation": "sigmoid"}, False),
        ({"activation": "sigmoid", "difference": 1e-5}, True),
        ({"difference": 1e-5, "control": 0.0}, True),
        # 0.06 apart, over 100 images: more than 0.5 / 10.
        ({"score_numpy": 0.78}, False),
    ],
)
def test_what_is_allowed_depends_on_kink_and_control(change, agrees):
    assert dataclasses.replace(RELU, **change).agrees == agrees


def test_not_a_number_never_agrees():
    assert not StepCheck("layer", "dense", math.nan, 1.0).agrees


def test_the_table_fits_80_columns_and_shows_every_check(short):
    console = Console(width=80, record=True, file=open_nowhere())
    print_tables(short, console=console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count(" yes") == 50


def open_nowhere():
    import io

    return io.StringIO()


def test_markdown_and_json_hold_every_check(short):
    markdown = to_markdown(short, command="make verify")
    assert markdown.count("| yes |") == 50
    assert "All 50 checks agree" in markdown
    content = json.loads(to_json(short))
    assert len(content["steps"]) == 34
    assert len(content["epochs"]) == 16
    assert content["agrees"] is True
    assert content["epochs"][0]["allowed"] == 2e-5


@pytest.fixture
def run_verify(script, monkeypatch, tmp_path):
    """Return a function that runs scripts/verify.py on results made up."""

    def run(*arguments, difference=0.0):
        def fake(*, dataset, show):
            show("nothing")
            checks = (StepCheck("layer", "dense", difference, 1e-6),)
            return Verification(dataset, 100, 32, steps=checks, epochs=(RELU,))

        monkeypatch.setattr(verify, "verify", fake)
        return script("verify.py", "--output", str(tmp_path), *arguments)

    return run


def test_agreement_ends_with_0_and_writes_both_files(run_verify, tmp_path):
    code, said = run_verify("--dataset", "digits")
    assert code == 0
    assert "all 2 checks agree" in said.out
    assert (tmp_path / "verification.md").read_text().startswith("# Keras against")
    assert json.loads((tmp_path / "verification.json").read_text())["dataset"] == "digits"


def test_disagreement_ends_with_1_and_names_the_check(run_verify):
    code, said = run_verify("--dataset", "digits", difference=1e-3)
    assert code == 1
    assert "1 of 2 out of tolerance: layer dense" in said.out


def test_without_the_real_data_the_digits_are_used_and_it_says_so(run_verify, monkeypatch):
    def load(_):
        raise RequestError("dataset=fashion_mnist is missing")

    monkeypatch.setattr(datasets, "load", load)
    code, said = run_verify()
    assert code == 0
    assert "dataset=fashion_mnist is missing\nThe check continues with dataset=digits" in said.out
    code, said = run_verify("--docs")
    assert code == 2
    assert said.err.startswith("error: dataset=fashion_mnist")


def test_the_docs_are_not_written_from_the_digits(run_verify):
    code, said = run_verify("--docs", "--dataset=digits")
    assert code == 2
    assert "--dataset=digits" in said.err


def test_naive_numpy_and_keras_are_timed_on_equal_results():
    speeds = list(naive_speed.measure(batch_size=2, units=3))
    assert len(speeds) == 7
    for speed in speeds:
        assert min(speed.naive_seconds, speed.numpy_seconds, speed.keras_seconds) > 0
    product = next(speed for speed in speeds if speed.operation == "matrix . matrix")
    assert product.shapes == "(2, 784), (784, 3)"
    assert product.naive_to_numpy > 10
