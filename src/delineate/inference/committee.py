"""Models of different plans answer for one scan: each on its own grid; they meet on the scan's."""

from dataclasses import replace

import numpy as np

from delineate.data import preprocess
from delineate.inference.answer import Answer, Asking, ask, refuse_probabilities, tally
from delineate.inference.maps import measure_committee
from delineate.inference.model import Committee
from delineate.inference.probabilities import MeanProbabilities
from delineate.io import Volume

__all__ = ["ask_committee"]


def ask_committee(committee: Committee, volume: Volume, asking: Asking) -> Answer:
    """The answer of all models, whose networks are on the device and in evaluation mode."""
    if committee.combine == "probabilities":
        return _mean(committee, volume, asking)
    refuse_probabilities(committee.combine, asking)
    plain = replace(asking, extras=replace(asking.extras, uncertainty=False))
    masks = [ask(m, preprocess(volume, m.plan), plain).mask for m in committee.models]
    return tally(masks, committee.labels, asking, how=committee.combine)


def _mean(committee: Committee, volume: Volume, asking: Asking) -> Answer:
    """By the mean of all probabilities, block by block on the scan's own grid."""
    wanted = replace(asking.extras, probabilities=True, uncertainty=False)
    answers = [
        ask(model, preprocess(volume, model.plan), replace(asking, extras=wanted))
        for model in committee.models
    ]
    mean = MeanProbabilities([a.probabilities for a in answers if a.probabilities is not None])
    overlapping = committee.labels.overlapping
    # The members' own masks are of no use: the first one's place is taken.
    mask = answers[0].mask
    for rows, probabilities in mean.blocks():
        place = (..., rows, *(slice(None),) * (len(mean.shape) - 2 - mean.axis))
        mask[place] = probabilities > 0.5 if overlapping else np.argmax(probabilities, axis=0)
    return Answer(
        mask=mask,
        probabilities=mean if asking.extras.probabilities else None,
        uncertainty=(
            measure_committee(mean, overlapping=overlapping) if asking.extras.uncertainty else None
        ),
    )
