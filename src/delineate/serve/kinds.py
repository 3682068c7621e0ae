"""What an uploaded file is, by its first bytes: the name that a client gives it is never used.

NRRD and MetaImage headers can name other files to read the voxels from: such a header is refused,
so that no upload makes the service open a file of its own machine.
"""

import re
from pathlib import Path

from delineate.serve.refusal import Refusal

__all__ = ["ACCEPTED", "recognise", "refuse_detached"]

ACCEPTED = (
    "NIfTI (.nii, .nii.gz), NRRD, MHA, one DICOM file, a zip of one DICOM series, PNG, JPEG, TIFF"
)
_HEADER_BYTES = 1 << 20
"""A text header must end before."""
_STARTS = (
    (b"\x1f\x8b", ".gz"),
    (b"PK\x03\x04", ".zip"),
    (b"NRRD", ".nrrd"),
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
)
_NIFTI = (b"n+1", b"n+2", b"ni1", b"ni2")


def recognise(path: Path) -> str:
    """The suffix that the file's bytes ask for; a file of no known kind is a 415."""
    with path.open("rb") as file:
        start = file.read(348)
    if start[344:347] in _NIFTI or start[4:7] in _NIFTI:
        return ".nii"
    if start[128:132] == b"DICM":
        return ".dcm"
    if re.match(rb"\s*(ObjectType|NDims|Comment|ObjectSubType)\s*[=:]", start):
        return ".mha"
    for mark, suffix in _STARTS:
        if start.startswith(mark):
            return suffix
    told = "is empty" if not start else "is of no kind that is known here"
    raise Refusal(415, f"the upload {told}.", fix=f"Send {ACCEPTED}.")


def refuse_detached(path: Path, suffix: str) -> None:
    """Refuse a header whose voxels lie in another file."""
    if suffix not in (".nrrd", ".mha"):
        return
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES).lower()
    if not (_nrrd_is_whole if suffix == ".nrrd" else _mha_is_whole)(start):
        raise Refusal(
            400,
            f"the {suffix[1:].upper()} header does not hold its voxels: it names another file.",
            fix="Save header and voxels in one file.",
        )


def _nrrd_is_whole(start: bytes) -> bool:
    """The header ends with an empty line, and none of its lines names a data file."""
    ended = b"\n\n" in start or b"\n\r\n" in start
    return ended and not re.search(rb"[\r\n][\s\0]*data[\s\0]*file", start)


def _mha_is_whole(start: bytes) -> bool:
    """The key that ends the header stands there once, on a line of its own, and says LOCAL."""
    local = re.findall(rb"(?:^|\n)elementdatafile[ \t]*[=:][ \t]*local[ \t]*\r?\n", start)
    return len(local) == 1 == start.count(b"elementdatafile")
