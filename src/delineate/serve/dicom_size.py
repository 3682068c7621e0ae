"""How large uploaded DICOM files say that they are, asked before anything trusts the answer.

One small file can declare any number of frames, and one in the deflated transfer syntax unpacks
while it is read: both are settled here by the first bytes.
"""

from collections.abc import Sequence
from pathlib import Path

from delineate.errors import require
from delineate.serve.refusal import Refusal, too_large

__all__ = ["refuse_large_dicom"]

_DEFLATED = "1.2.840.10008.1.2.1.99"
_FACTS = ["Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"]


def refuse_large_dicom(files: Sequence[Path], max_bytes: int) -> None:
    """Refuse files whose pixels would take more than `max_bytes`, or unpack unbounded."""
    left = max_bytes
    for file in files:
        left -= _pixel_bytes(file)
        if left < 0:
            raise too_large(max_bytes, "the scan, once unpacked,")


def _pixel_bytes(file: Path) -> int:
    pydicom = require("pydicom", extra="dicom")
    try:
        syntax = pydicom.filereader.read_file_meta_info(file).get("TransferSyntaxUID")
        if syntax == _DEFLATED:
            raise Refusal(415, "a deflated DICOM file.", fix="Save it in another transfer syntax.")
        header = pydicom.dcmread(file, specific_tags=_FACTS, stop_before_pixels=True)
        size = 1
        for name in _FACTS[:-1]:
            size *= max(1, int(header.get(name) or 1))
        return size * max(1, int(header.get("BitsAllocated") or 16) // 8)
    except Refusal:
        raise
    except Exception as error:  # pydicom has many kinds of its own
        kind = type(error).__name__
        raise Refusal(400, f"a DICOM file is broken ({kind}).", fix="Send it again.") from None
