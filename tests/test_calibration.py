"""What a comparison claims, where the truth is known: the short form of `make calibrate`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.training import backend
from fitgap_lab.calibration import paired_images, real_data, report, trained
from fitgap_lab.calibration.simulate import Design, simulate

PAGE = Path(__file__).parents[1] / "docs" / "COMPARISON.md"


def most(rankings, share=0.05):
    """Return what a share of 5 % exceeds in one of a thousand such simulations."""
    from scipy.stats import binom

    return binom.isf(0.001, rankings, share) / rankings


@pytest.mark.parametrize(
    ("design", "rankings"),
    [
        (Design(2, 5, 1), 150),
        (Design(10, 3, 1), 100),
        (Design(10, 3, 1, spreads=0.5), 100),
        (Design(10, 1, 3), 100),
        (Design(40, 5, 1, spreads=0.5), 25),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_equal_groups_are_called_worse_in_at_most_one_of_twenty_rankings(design, rankings):
    assert simulate(design, rankings=rankings).false <= most(rankings)


def test_the_interval_over_splits_holds_the_truth_as_often_as_it_says():
    found = simulate(Design(1, 5, 2), rankings=400)
    # Binomial, one of a thousand; the correction for overlap makes it hold more often than 95 %.
    assert 1 - found.covered <= most(400)


def test_the_interval_on_one_split_holds_the_truth_and_that_over_seeds_does_not():
    design = Design(1, 1, 5, of_split=0.02)  # what 300 images leave of an accuracy of 0.85
    assert 1 - simulate(design, rankings=400).covered <= most(400)
    assert simulate(design, rankings=400, these_images=True).covered < 0.6


@pytest.mark.parametrize("name", [*report.TABLES, "real data"])
def test_the_page_has_a_place_for_every_table(name):
    text = PAGE.read_text(encoding="utf-8")
    _, start, rest = text.partition(f"<!-- {name}: start -->")
    table, end, _ = rest.partition(f"<!-- {name}: end -->")
    assert start
    assert end
    assert table.strip().startswith("| ")


def test_a_large_difference_is_shown():
    assert simulate(Design(3, 5, 2, advantage=0.05), rankings=20).shown > 0.8


@pytest.mark.parametrize(("seeds", "images"), [(2, 200), (3, 200), (10, 200), (3, 2000)])
def test_differences_paired_image_by_image_hold_the_truth(seeds, images):
    found = paired_images.simulate(2, seeds, images, 0.9, repetitions=200)
    assert 1 - found.covered <= most(200)
    assert found.false <= most(200)


def test_pairing_image_by_image_shows_what_the_bound_does_not():
    paired, bound = (
        paired_images.simulate(2, 10, 300, 0.9, repetitions=60, better=0.04, by_image=by_image)
        for by_image in (True, False)
    )
    assert paired.width < 0.5 * bound.width
    assert paired.shown > 0.9
    assert bound.shown < 0.5


def test_intervals_are_held_against_the_further_splits():
    rng = np.random.default_rng(0)
    runs = [
        StoredRun(
            run_id=f"{optimizer} {split} {seed}",
            name="",
            status="FINISHED",
            start_time=0,
            params={
                "optimizer.name": optimizer,
                "split.name": "holdout",
                "split.seed": str(split),
                "seed": str(seed),
                "train_samples": "1200",
                "val_samples": "300",
            },
            metrics={"val/accuracy": accuracy + of_split[split], "gap/accuracy": 0.01},
            tags={"fitgap.split_digest": str(split)},
        )
        for of_split in [0.01 * rng.normal(size=real_data.SPLITS)]
        for optimizer, accuracy in (("adam", 0.9), ("rmsprop", 0.89))
        for split in range(real_data.SPLITS)
        for seed in range(2)
    ]
    accuracies, gaps, differences = real_data.checked(runs, 5, uri="")
    assert (accuracies.all, gaps.all, differences.all) == (26, 0, 13)  # equal gaps have none
    assert accuracies.held >= 20
    assert differences.held == 13


def test_the_table_of_real_data_takes_the_complete_rows_and_names_a_missing_file(tmp_path):
    path = tmp_path / "resources/rdata/csv/MASS/biopsy.csv"
    with pytest.raises(RequestError, match=r"biopsy\.csv: not found; docs/REAL_FILES\.md"):
        real_data.DATA["biopsy, a table of 683 rows"](tmp_path, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text('"","ID","V1","V2","class"\n"1","17",5,1,"benign"\n"2","18",5,NA,"benign"\n')
    real_data.DATA["biopsy, a table of 683 rows"](tmp_path, tmp_path)
    assert (tmp_path / "biopsy.csv").read_text().split() == ["V1,V2,class", "5,1,benign"]


@pytest.fixture(scope="module")
def datasets():
    """Return the trainings on 4 data sets, and their networks' accuracy on 20,000 fresh points."""
    backend.start(1)
    return [trained.train_all(number, samples=300, fresh=20_000) for number in range(4)]


@pytest.mark.parametrize("design", [trained.ONE_SPLIT, trained.SEVERAL_SPLITS, trained.HONEST])
def test_intervals_of_trained_networks_hold_what_fresh_points_say(datasets, design):
    like_these = trained.truths_of(datasets)
    found = np.array([trained.judged(one, design, like_these) for one in datasets])
    # Intervals of one data set go together, so data sets are counted: at most what one in a
    # thousand such tests exceeds by chance.
    missed, false = (found[:, :4] < 0.5).sum(0), (found[:, 4] > 0).sum()
    assert max(*missed, false) <= 4 * most(4)


def test_the_truth_of_a_training_set_comes_from_seeds_that_its_intervals_do_not_know(datasets):
    dataset = dict(datasets[0])
    before = trained.truths_of_training_set(dataset)
    known = trained.Place("sgd", 0, 0)
    dataset[known] = replace(dataset[known], fresh=0.0)
    assert trained.truths_of_training_set(dataset) == before
    further = trained.Place("sgd", 0, trained.SEEDS)
    dataset[further] = replace(dataset[further], fresh=0.0)
    assert trained.truths_of_training_set(dataset)["sgd"].accuracy < before["sgd"].accuracy


def test_the_accuracy_on_fresh_points_is_that_of_the_network():
    backend.start(1)
    import keras

    x, y = trained.draw(5000, np.random.default_rng(0))
    model = keras.Sequential(
        [keras.Input((x.shape[1],)), keras.layers.Dense(7, "relu"), keras.layers.Dense(2)]
    )
    right = model.predict(x, verbose=0).argmax(1) == y
    assert trained.accuracy_of(model, x, y) == right.mean()


def test_the_points_of_trained_networks_can_be_told_apart_but_not_all():
    x, y = trained.draw(3000, np.random.default_rng(3))
    from sklearn.neighbors import KNeighborsClassifier

    share = KNeighborsClassifier(25).fit(x[:2000], y[:2000]).score(x[2000:], y[2000:])
    assert 0.7 < share < 0.95
