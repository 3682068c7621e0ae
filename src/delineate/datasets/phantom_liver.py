"""An abdominal CT in Hounsfield units in which the liver and its small tumours are labelled."""

from collections.abc import Sequence

import numpy as np

from delineate.datasets.canvas import Drawing, Subject
from delineate.datasets.phantom_organs import Tumours, draw_organs
from delineate.labels import Class, Labels

__all__ = ["LIVER", "draw_liver"]

_LIVER, _TUMOUR = 1, 2
_SMALL = Tumours(chances=(0.1, 0.15, 0.2, 0.2, 0.15, 0.12, 0.08), radius_mm=(5, 14))

LIVER = Subject(
    channels=("CT",),
    labels=Labels(
        classes=(
            Class(name="liver", id=_LIVER),
            Class(name="tumour", id=_TUMOUR, parent="liver"),
        )
    ),
    shape=(112, 96, 80),
)


def draw_liver(rng: np.random.Generator, shape: Sequence[int]) -> Drawing:
    """One patient with the abdomen of `draw_organs`; about one in ten has no tumour."""
    drawing = draw_organs(rng, shape, tumours=_SMALL)
    # Liver and tumours come first in the numbers of the organs.
    mask = np.where(drawing.mask <= _TUMOUR, drawing.mask, 0).astype(np.uint8)
    return Drawing(image=drawing.image, mask=mask, spacing=drawing.spacing)
