"""Several masks of one scan become one: by a vote, or by STAPLE.

Warfield, Zou and Wells, "Simultaneous truth and performance level estimation (STAPLE)", IEEE TMI
2004; for many labels as in Rohlfing et al., IPMI 2003. Rater j says d where the truth is s with the
probability t_j(d | s). Expectation: w(s) ~ prior(s) prod_j t_j(d_j | s). Maximisation: t_j(d | s) =
the part of all w(s) that lies where rater j says d. The prior is the mean share of each label over
all raters; the start is what each rater's agreement with the vote says of it.

How we differ: w depends on a voxel only by what the raters say there, so the sums run over the
distinct combinations of answers, each with its number of voxels: the result is the same, the cost
is that of the few voxels in dispute. And all shares are taken within the box around everything that
any rater has marked, since the prior of the whole scan would depend on how much air is in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.geometry import bounding_box, slices

__all__ = ["combine_masks", "staple", "vote"]

MOST_ROUNDS = 200
CONVERGED = 1e-6
"""No entry of any rater's table moves by more in the last round."""
LEAST = 1e-10
"""A rater is never held to be wholly infallible: the logarithm of nothing is not defined."""


def combine_masks(
    masks: Sequence[np.ndarray], *, how: Literal["vote", "staple"], overlapping: bool = False
) -> np.ndarray:
    """One mask from several of the same grid: (*s) ids, or (k, *s) 0/1 layers, each by itself."""
    shapes = {mask.shape for mask in masks}
    if len(shapes) != 1:
        raise ValueError(f"the masks must be on one grid, got the shapes {sorted(shapes)}")
    decide = {"vote": vote, "staple": staple}[how]
    if len(masks) == 1:
        return masks[0].copy()
    if not overlapping:
        return decide(masks)
    return np.stack([decide([mask[layer] for mask in masks]) for layer in range(len(masks[0]))])


def vote(masks: Sequence[np.ndarray]) -> np.ndarray:
    """The label (*s) that most masks give; between equals the lowest, so background first."""
    found = masks[0].astype(np.result_type(*masks))
    split = _split(masks)
    votes = np.stack([mask[split] for mask in masks])
    found[split] = _most_frequent(votes)
    return found


def staple(masks: Sequence[np.ndarray]) -> np.ndarray:
    """The most probable label (*s) by STAPLE; between equals the lowest. At least two masks."""
    marked = masks[0] != 0
    for mask in masks[1:]:
        marked |= mask != 0
    box = bounding_box(marked)
    found = masks[0].astype(np.result_type(*masks))
    if box is None:
        return found
    inner = [mask[slices(box)] for mask in masks]
    split = _split(inner)
    answers = gather(inner, split)
    winners = answers.labels[np.argmax(estimate(answers), axis=1)]
    found[slices(box)][split] = winners[answers.place].astype(found.dtype)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the raters say, each distinct combination once."""

    labels: np.ndarray
    """All that occur, ascending."""
    said: np.ndarray
    """(combinations, raters) indices into the labels."""
    voxels: np.ndarray
    """How many voxels have each combination."""
    place: np.ndarray
    """Which combination each voxel in dispute has, in array order."""


def gather(masks: Sequence[np.ndarray], split: np.ndarray) -> Answers:
    """The combinations in dispute first, then one for each label that all agree on."""
    votes = np.stack([mask[split] for mask in masks])
    agreed, agreed_voxels = np.unique(masks[0][~split], return_counts=True)
    labels = np.unique(np.concatenate((agreed, votes.ravel())))
    place = np.zeros(votes.shape[1], np.int64)
    for row in np.searchsorted(labels, votes):
        # Renumbered after each rater: any number of raters and labels stays countable.
        _, place = np.unique(place * len(labels) + row, return_inverse=True)
    _, first, voxels = np.unique(place, return_index=True, return_counts=True)
    together = np.repeat(np.searchsorted(labels, agreed)[:, None], len(masks), axis=1)
    return Answers(
        labels=labels,
        said=np.concatenate((np.searchsorted(labels, votes[:, first]).T, together)),
        voxels=np.concatenate((voxels, agreed_voxels)).astype(np.float64),
        place=place,
    )


def estimate(answers: Answers) -> np.ndarray:
    """(combinations, labels) the probability of each true label, by expectation-maximisation."""
    size = len(answers.labels)
    shares = [np.bincount(s, answers.voxels, minlength=size) for s in answers.said.T]
    prior = np.mean(shares, axis=0) / answers.voxels.sum()
    truth = np.eye(size)[_most_frequent(answers.said.T)]
    tables = _tables(answers, truth)
    for _ in range(MOST_ROUNDS):
        truth = _truth(answers.said, tables, prior)
        before, tables = tables, _tables(answers, truth)
        if np.abs(tables - before).max() < CONVERGED:
            break
    return truth


def _truth(said: np.ndarray, tables: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(combinations, labels) from the raters' tables: the expectation."""
    chance = np.log(np.maximum(prior, LEAST))[None].repeat(len(said), axis=0)
    for rater, table in enumerate(np.log(np.maximum(tables, LEAST))):
        chance += table[said[:, rater]]
    chance = np.exp(chance - chance.max(axis=1, keepdims=True))
    return chance / chance.sum(axis=1, keepdims=True)


def _tables(answers: Answers, truth: np.ndarray) -> np.ndarray:
    """(raters, said, true) how often each rater says what, given the truth: the maximisation."""
    from scipy import sparse

    number, raters = answers.said.shape
    weighted = truth * answers.voxels[:, None]
    size = len(answers.labels)
    counts = np.empty((raters, size, size))
    for rater in range(raters):
        chosen = (np.ones(number), (answers.said[:, rater], np.arange(number)))
        counts[rater] = sparse.csr_array(chosen, shape=(size, number)) @ weighted
    return counts / np.maximum(weighted.sum(axis=0), LEAST)


def _split(masks: Sequence[np.ndarray]) -> np.ndarray:
    """(*s) true where not all masks say the same."""
    split = np.zeros(masks[0].shape, bool)
    for mask in masks[1:]:
        split |= mask != masks[0]
    return split


def _most_frequent(votes: np.ndarray) -> np.ndarray:
    """Of each column of (raters, n): the most frequent value, between equals the lowest."""
    best = votes[0].copy()
    most = np.zeros(votes.shape[1], np.int64)
    for vote in votes:
        number = (votes == vote).sum(axis=0)
        better = (number > most) | ((number == most) & (vote < best))
        best[better], most[better] = vote[better], number[better]
    return best
