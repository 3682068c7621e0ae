"""Synthetic data sets: seeded phantoms of nine kinds, written in any layout."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.datasets import write_layout
from delineate.datasets.canvas import Drawing, Subject
from delineate.datasets.new_folder import new_folder
from delineate.datasets.phantom_brainstem import BRAINSTEM_NUCLEI, draw_brainstem
from delineate.datasets.phantom_cells import CELLS, draw_cells
from delineate.datasets.phantom_heart import HEART, draw_heart
from delineate.datasets.phantom_lesions import LESIONS, draw_lesions
from delineate.datasets.phantom_liver import LIVER, draw_liver
from delineate.datasets.phantom_nuclei import NUCLEI, draw_nuclei
from delineate.datasets.phantom_organs import ORGANS, draw_organs
from delineate.datasets.phantom_spine import SPINE, draw_spine
from delineate.datasets.phantom_structures import STRUCTURES, draw_structures
from delineate.errors import DataError

__all__ = ["PHANTOMS", "Phantom", "synthesise"]

_WRITERS = {
    "nnunet": write_layout.write_nnunet,
    "msd": write_layout.write_msd,
    "bids": write_layout.write_bids,
    "folders": write_layout.write_folders,
    "hdf5": write_layout.write_hdf5,
    "patients": write_layout.write_patients,
}
_VOLUMES = ("nnunet", "msd", "bids", "folders")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """One kind of phantom."""

    title: str
    subject: Subject
    draw: Callable[[np.random.Generator, Sequence[int]], Drawing]
    layouts: tuple[str, ...] = _VOLUMES
    """How it can be written; the first is the usual one."""


PHANTOMS: dict[str, Phantom] = {
    "organs": Phantom(
        title="abdominal CT: liver with tumours, spleen, kidneys, spine, aorta",
        subject=ORGANS,
        draw=draw_organs,
    ),
    "heart": Phantom(
        title="cine MR of the heart: both ventricles and the muscle of the left one",
        subject=HEART,
        draw=draw_heart,
    ),
    "lesions": Phantom(
        title="brain MR in T1 and FLAIR with one to five irregular lesions",
        subject=LESIONS,
        draw=draw_lesions,
    ),
    "nuclei": Phantom(
        title="brainstem MR: three subdivisions and eight nuclei in a hierarchy",
        subject=NUCLEI,
        draw=draw_nuclei,
    ),
    "slices": Phantom(
        title="2-D microscope pictures of cells and their nuclei",
        subject=CELLS,
        draw=draw_cells,
        layouts=("folders", "nnunet"),
    ),
    "structures": Phantom(
        title="trunk with thirteen structures that may be absent, in HDF5",
        subject=STRUCTURES,
        draw=draw_structures,
        layouts=("hdf5",),
    ),
    "liver": Phantom(
        title="abdominal CT: the liver and up to six small tumours in it",
        subject=LIVER,
        draw=draw_liver,
        layouts=("msd", "nnunet", "bids", "folders"),
    ),
    "brainstem": Phantom(
        title="brainstem MR at 200 um: thirty-six nuclei in three subdivisions",
        subject=BRAINSTEM_NUCLEI,
        draw=draw_brainstem,
        layouts=("patients", "nnunet", "bids", "folders"),
    ),
    "spine": Phantom(
        title="sagittal MR of the neck in T2: the spinal cord and up to four lesions in it",
        subject=SPINE,
        draw=draw_spine,
        layouts=("folders", "nnunet", "msd", "bids"),
    ),
}
"""What `synthesise` can draw, by name."""


def synthesise(
    kind: str,
    out: Path,
    *,
    cases: int,
    shape: tuple[int, ...] | None = None,
    seed: int = 0,
    layout: str | None = None,
) -> Path:
    """Write a data set of phantoms into a folder that does not exist yet, and return it.

    Case i depends on kind, shape, seed and i alone. The folder appears when all is done.

    Args:
        kind: a name of PHANTOMS.
        out: the new folder; an empty one may be there.
        cases: how many.
        shape: of every array, right, anterior, superior (rows and columns of a picture).
        seed: another one gives other patients.
        layout: one of the kind's layouts; None is its usual one.
    """
    chosen, layout = _check(kind, layout, shape, cases)
    out = Path(out)
    with new_folder(out) as part:
        _WRITERS[layout](part, chosen.subject, _drawings(kind, chosen, cases, shape, seed))
    return out


def _drawings(
    name: str, kind: Phantom, cases: int, shape: tuple[int, ...] | None, seed: int
) -> Iterator[tuple[str, Drawing]]:
    """Each case with its name, drawn one at a time."""
    for i in range(cases):
        rng = np.random.default_rng((seed, i))
        yield f"{name}_{i:03d}", kind.draw(rng, shape or kind.subject.shape)


def _check(
    kind: str, layout: str | None, shape: tuple[int, ...] | None, cases: int
) -> tuple[Phantom, str]:
    """The kind and the layout that were asked for; a DataError for what cannot be drawn."""
    if kind not in PHANTOMS:
        raise DataError(f"synth: '{kind}' is unknown. Fix: use one of {', '.join(PHANTOMS)}.")
    chosen = PHANTOMS[kind]
    if layout is not None and layout not in chosen.layouts:
        raise DataError(
            f"synth: '{kind}' cannot be written as '{layout}'. "
            f"Fix: use {' or '.join(chosen.layouts)}."
        )
    dims = len(chosen.subject.shape)
    if shape is not None and (len(shape) != dims or min(shape) < 16):
        usual = "x".join(map(str, chosen.subject.shape))
        raise DataError(
            f"synth: the shape {'x'.join(map(str, shape))} does not fit '{kind}'. "
            f"Fix: give {dims} sizes of 16 or more, such as {usual}."
        )
    if cases < 1:
        raise DataError(f"synth: {cases} cases were asked for. Fix: ask for 1 or more.")
    return chosen, layout or chosen.layouts[0]
