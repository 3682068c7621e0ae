"""What the doctor says: kinds of finding, the facts of each case, and the whole examination."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

__all__ = ["KINDS", "Examination", "Facts", "Finding", "Intensity", "Kind", "finding"]

Severity = Literal["error", "warning"]


class Kind(NamedTuple):
    """What a kind of finding means, and what a person does about it."""

    severity: Severity
    meaning: str
    fix: str


_LEAVE_OUT = "Correct the file or leave the case out; `doctor --fix OUT` leaves it out."
_MEND = "`doctor --fix OUT` writes a mended copy."

KINDS: dict[str, Kind] = {
    # files and pairs
    "unreadable": Kind("error", "a file is truncated, damaged or of no known form", _LEAVE_OUT),
    "unexpected": Kind("error", "the examination itself failed", "Report it with this message."),
    "missing-image": Kind("error", "a label or a channel has no image", "Add the image."),
    "missing-label": Kind(
        "error", "an image has no label although others have", "Add the label or drop the image."
    ),
    "no-cases": Kind(
        "error", "the data set has no case at all", "Check the folder and its layout."
    ),
    "no-labels": Kind("error", "no case has a label", "Add labels, or name the layout."),
    "unlisted-file": Kind("warning", "a file belongs to no case", "List it or remove it."),
    "duplicate-id": Kind("error", "two cases have one id", "Give each case an id of its own."),
    # grids
    "degenerate-grid": Kind("error", "a header gives voxels no size or place", _LEAVE_OUT),
    "size-mismatch": Kind(
        "error", "a file holds more voxels than its header says", "Correct the header's shape."
    ),
    "shape-mismatch": Kind(
        "error", "a label or a channel has another shape", "Resample it to the image's grid."
    ),
    "grid-mismatch": Kind(
        "error", "same shape, another place", "Correct the header. " + _MEND + " Small shifts only."
    ),
    "grid-noise": Kind(
        "warning", "same shape, 1 to 10 % of a voxel apart", "Harmless if the masks look right."
    ),
    "dimensions": Kind("error", "a picture among volumes, or the reverse", _LEAVE_OUT),
    "channel-count": Kind("error", "a case has more or fewer channels", _LEAVE_OUT),
    "odd-spacing": Kind(
        "warning", "the spacing is far from the median's", "Check the header's units and axes."
    ),
    "odd-size": Kind(
        "warning", "the field of view is far from the median's", "Check that it is the same scan."
    ),
    # intensities
    "constant-image": Kind("error", "all voxels of a channel are equal", _LEAVE_OUT),
    "not-finite": Kind("error", "voxels are NaN or infinite", _MEND),
    "image-is-label": Kind("error", "the image shows its own label", "Find the true image."),
    "repeated-channel": Kind("error", "one scan fills two channels", "Find the true channel."),
    # labels
    "float-label": Kind("error", "label values are not integers", _MEND + " It rounds them."),
    "undeclared-value": Kind(
        "error", "a label holds a value that is not declared", "Declare it or correct the mask."
    ),
    "mixed-values": Kind("error", "one class, marked by different values", _MEND),
    "blurred-mask": Kind("error", "grey values between 0 and 255 in a mask", _MEND),
    "label-channels": Kind("error", "overlapping masks do not match the classes", _LEAVE_OUT),
    "rare-value": Kind("warning", "a value that only one case holds", "Check it by eye."),
    "empty-label": Kind(
        "warning", "a label without foreground", "Fine if there is nothing to see."
    ),
    "full-label": Kind("warning", "a label without background", "Check it by eye."),
    "odd-volume": Kind("warning", "a mask far larger than the others", "Is it inverted?"),
    "no-foreground": Kind("error", "no label has foreground", "Check the label files."),
    "absent-class": Kind("warning", "a declared class never occurs", "Drop it or add cases."),
    "presence-mismatch": Kind(
        "error", "the mask contradicts the declared presence", "Correct one of the two."
    ),
    "mirrored-label": Kind(
        "warning", "two classes lie the other way round", "Check sides and header by eye."
    ),
    # between cases
    "copied-label": Kind("error", "one mask for different images", "Find the true label."),
    "duplicate-image": Kind("error", "the same image in two cases", "Keep one of them."),
    "split-leak": Kind(
        "error", "a patient on both sides of a split", "Move all of a patient's cases to one side."
    ),
}
"""Every kind of finding: stable codes for scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong (error) or should be looked at (warning)."""

    severity: Severity
    kind: str
    """A key of KINDS."""
    case: str | None
    """The id of the case, or of the case that a file without one would have; None: the data set."""
    message: str
    fix: str
    others: tuple[str, ...] = ()
    """Further cases that it concerns, such as the twin of a duplicate."""

    def __str__(self) -> str:
        return f"{self.severity}: {self.case or 'data set'}: {self.message} Fix: {self.fix}"


def finding(
    kind: str, case: str | None, message: str, *, others: tuple[str, ...] = (), fix: str = ""
) -> Finding:
    """A finding of a known kind, with the kind's own advice unless there is a better one."""
    known = KINDS[kind]
    return Finding(
        severity=known.severity,
        kind=kind,
        case=case,
        message=message,
        fix=fix or known.fix,
        others=others,
    )


class Intensity(NamedTuple):
    """The finite values of one channel."""

    minimum: float
    maximum: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was measured in one case; empty where a file could not be read."""

    case: str
    shape: tuple[int, ...] = ()
    """Canonical, in voxels."""
    spacing: tuple[float, ...] = ()
    """Canonical, in mm."""
    orientation: str = ""
    """Of the file's own axes, such as LPS; empty for pictures."""
    dtype: str = ""
    """Of the image as it is read."""
    intensity: tuple[Intensity, ...] = ()
    """One per channel."""
    labels: dict[int, int] | None = None
    """Voxels of each value but 0 (for overlapping masks of each class, from 1); None: no label."""
    volume_ml: float | None = None
    """Of all foreground; None for pictures and without a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The findings, errors first, and the facts of every case."""

    root: str
    layout: str
    cases: tuple[Facts, ...]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What must be mended before anything trains."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What should be looked at."""
        return tuple(f for f in self.findings if f.severity == "warning")

    def to_json(self) -> dict[str, Any]:
        """Plain data: layout, root, cases, findings, summary."""
        return {
            "layout": self.layout,
            "root": self.root,
            "cases": [_facts_to_json(facts) for facts in self.cases],
            "findings": [
                {key: getattr(f, key) for key in ("severity", "kind", "case", "message", "fix")}
                for f in self.findings
            ],
            "summary": {
                "cases": len(self.cases),
                "labelled": sum(facts.labels is not None for facts in self.cases),
                "errors": len(self.errors),
                "warnings": len(self.warnings),
                "kinds": dict(sorted(Counter(f.kind for f in self.findings).items())),
            },
        }


def _facts_to_json(facts: Facts) -> dict[str, Any]:
    data = asdict(facts)
    data["intensity"] = [
        {"min": one.minimum, "max": one.maximum, "mean": one.mean} for one in facts.intensity
    ]
    if facts.labels is not None:
        data["labels"] = {str(value): voxels for value, voxels in sorted(facts.labels.items())}
    return data
