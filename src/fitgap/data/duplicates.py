"""Images that are equal to another one, or nearly so.

Exact duplicates are images of the same bytes. One that lies in two partitions is leakage: the
network is tested on what it learned. Near duplicates, such as the same photograph saved twice,
are reported but are no error, because no rule distinguishes them from images that are alike.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.data.datasets import Dataset, Images
from fitgap.data.disk_arrays import blocks
from fitgap.data.splits import Split

# Two images are near duplicates if their thumbnails of at most 8 x 8 cells differ by no more than
# this many grey levels of 255, root mean square over cells and channels. An image that JPEG saved
# anew differs by less than 1; see docs/DATA.md for what the rule finds in known datasets.
THUMBNAIL_SIDE = 8
NEAR_LEVELS = 2.0
NEAR_RULE = (
    f"thumbnails of {THUMBNAIL_SIDE} x {THUMBNAIL_SIDE} cells differ by at most {NEAR_LEVELS:g} "
    "of 255 levels (root mean square)"
)
_MOST_EXAMPLES = 5
_NEIGHBOURS = 8  # as many of an image's nearest are looked at
PARTITIONS = ("train", "val", "test")


@dataclass(frozen=True)
class Matches:
    """Images that are equal, or nearly so, to another one.

    Attributes
    ----------
    within
        Per partition: how many images are like an earlier one of the same partition.
    across
        Per pair such as ``test in train``: how many images of the first partition are like one
        of the second.
    conflicting
        How many are like one that has another label.
    examples
        A few pairs, those across partitions first: what each is called.
    """

    within: Mapping[str, int]
    across: Mapping[str, int]
    conflicting: int
    examples: Sequence[tuple[str, str]]

    @property
    def counted(self) -> str:
        """How many are across each pair of partitions, in words; empty if none are."""
        return ", ".join(f"{count} {pair}" for pair, count in self.across.items() if count)


# Below, images are numbered from the first of the training part to the last of the test part.
# ``owner`` holds each one's partition (its place in `PARTITIONS`), ``partners`` of shape (n, 4)
# the first image of each partition that it is like, or -1. The last place is of training images
# that ``split.train_fraction`` leaves out: they are of no partition, and nothing is said of them.
Numbers = NDArray[np.int64]
LEFT_OUT = len(PARTITIONS)


def owners(dataset: Dataset, split: Split) -> Numbers:
    """Return the partition of each image: its place in `PARTITIONS`, or `LEFT_OUT`.

    Parameters
    ----------
    dataset
        Its training part is numbered first, then its test part.
    split
        Which samples of the training part are for training and which for validation.

    Returns
    -------
    array of int64
        Shape (n,).
    """
    owner = np.full(len(dataset.y_train) + len(dataset.y_test), LEFT_OUT)
    owner[len(dataset.y_train) :] = PARTITIONS.index("test")
    owner[split.train] = PARTITIONS.index("train")
    owner[split.val] = PARTITIONS.index("val")
    return owner


def _summary(
    dataset: Dataset, owner: Numbers, partners: Numbers, *, conflicting: NDArray[np.bool_]
) -> Matches:
    own = partners[np.arange(len(owner)), owner]
    is_used = owner != LEFT_OUT
    within = (own >= 0) & (own < np.arange(len(owner))) & is_used
    across = {
        f"{unseen} in {seen}": (owner == PARTITIONS.index(unseen))
        & (partners[:, PARTITIONS.index(seen)] >= 0)
        for unseen, seen in (("val", "train"), ("test", "train"), ("test", "val"))
    }
    pairs = [
        (int(image), int(partners[image, PARTITIONS.index(pair.split()[-1])]))
        for pair, alike in across.items()
        for image in np.flatnonzero(alike)[:_MOST_EXAMPLES]
    ]
    pairs += [(int(image), int(own[image])) for image in np.flatnonzero(within)[:_MOST_EXAMPLES]]
    return Matches(
        within={name: int(within[owner == i].sum()) for i, name in enumerate(PARTITIONS)},
        across={pair: int(alike.sum()) for pair, alike in across.items()},
        conflicting=int(conflicting[is_used].sum()),
        examples=[(_name(dataset, a), _name(dataset, b)) for a, b in pairs[:_MOST_EXAMPLES]],
    )


def _name(dataset: Dataset, image: int) -> str:
    n_train = len(dataset.y_train)
    names, part, index = (
        (dataset.train.names, "x_train", image)
        if image < n_train
        else (dataset.test.names, "x_test", image - n_train)
    )
    return names[index] if names else f"{part}[{index}]"


def equal_groups(dataset: Dataset) -> Numbers:
    """Return a number for each image, the same for images of the same bytes."""
    digests = [
        hashlib.blake2b(row, digest_size=16).digest()
        for x in (dataset.x_train, dataset.x_test)
        for block in blocks(x)
        for row in block
    ]
    halves = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    order = np.lexsort(halves.T)
    is_new = np.r_[False, (halves[order][1:] != halves[order][:-1]).any(axis=1)]
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(is_new)
    return groups


def exact(dataset: Dataset, owner: Numbers, groups: Numbers) -> Matches:
    """Find the images that have the same bytes.

    Parameters
    ----------
    dataset
        Of n images in all.
    owner
        From `owners`; shape (n,).
    groups
        From `equal_groups`; shape (n,).
    """
    partners = np.full((len(groups), LEFT_OUT + 1), -1)
    for number in range(len(PARTITIONS)):
        members = np.flatnonzero(owner == number)
        first = np.full(groups.max() + 1, -1)
        first[groups[members][::-1]] = members[::-1]  # the last assignment stays: the first image
        partners[:, number] = first[groups]
    partners[partners == np.arange(len(groups))[:, None]] = -1  # no image is its own partner
    labels = _numbered_labels(dataset)
    lowest, highest = np.full(groups.max() + 1, labels.max()), np.zeros_like(first)
    np.minimum.at(lowest, groups, labels)
    np.maximum.at(highest, groups, labels)
    conflicting = (lowest != highest)[groups]
    return _summary(dataset, owner, partners, conflicting=conflicting)


def near(dataset: Dataset, owner: Numbers, groups: Numbers) -> Matches:
    """Find images that are alike but not equal, among each image's nearest neighbours.

    Images of equal bytes are looked at once, by the first of them.

    Parameters
    ----------
    dataset
        Of n images in all.
    owner
        From `owners`; shape (n,).
    groups
        From `equal_groups`; shape (n,).
    """
    from scipy.spatial import cKDTree

    thumbnails = np.concatenate([thumbnails_of(dataset.x_train), thumbnails_of(dataset.x_test)])
    limit = NEAR_LEVELS * thumbnails.shape[1] ** 0.5 * (1 + 1e-6)  # float32 rounds the distances
    _, firsts = np.unique(groups, return_index=True)
    points = thumbnails[firsts] - thumbnails.mean(axis=0)
    # Turned so that the axes along which images differ most come apart: the tree splits by axes.
    _, axes = np.linalg.eigh(points.T @ points)
    points = points @ axes[:, ::-1]
    tree = cKDTree(points)
    _, nearest = tree.query(points, k=_NEIGHBOURS + 1, distance_upper_bound=limit)
    image, place = np.nonzero(nearest < len(points))  # the tree's word for none is their number
    other = nearest[image, place]
    image, other = firsts[image[image != other]], firsts[other[image != other]]
    none = len(groups)
    found = np.full((len(groups), LEFT_OUT + 1), none)
    np.minimum.at(found, (image, owner[other]), other)
    labels = _numbered_labels(dataset)
    conflicting = np.zeros(len(groups), np.bool_)
    conflicting[image[labels[image] != labels[other]]] = True
    return _summary(dataset, owner, np.where(found == none, -1, found), conflicting=conflicting)


def thumbnails_of(x: Images) -> NDArray[np.float32]:
    """Return mean values over at most 8 x 8 cells per channel; shape (n, cells * channels)."""
    found = []
    for block in blocks(x):
        cells = block.astype(np.float32)
        for axis in (1, 2):
            size = cells.shape[axis]
            count = min(THUMBNAIL_SIDE, size)
            edges = np.arange(count) * size // count
            widths = np.diff(np.r_[edges, size]).astype(np.float32)
            shape = [-1 if i == axis else 1 for i in range(cells.ndim)]
            cells = np.add.reduceat(cells, edges, axis=axis) / widths.reshape(shape)
        found.append(cells.reshape(len(cells), -1))
    return np.concatenate(found)


def _numbered_labels(dataset: Dataset) -> Numbers:
    """Return a number per target, the same for equal targets."""
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    if dataset.task == "classes":
        return labels
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
