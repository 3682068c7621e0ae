"""Everything derived from the data and the machine, in voxels and millimetres."""

from dataclasses import dataclass, field

from delineate.labels import Labels

__all__ = ["Network", "Normalisation", "Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """How the intensities of one channel become numbers near zero."""

    kind: str
    """'zscore' by the case's own mean and deviation, 'ct' by the data set's clipped figures,
    'scale' from 0..255 to 0..1, or 'none'."""
    mean: float = 0.0
    deviation: float = 1.0
    low: float = 0.0
    high: float = 0.0
    """'ct' clips to low..high, then subtracts mean and divides by deviation."""
    nonzero: bool = False
    """'zscore' uses only voxels that are not zero, and leaves the zeros zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The topology of a U-Net, one entry per resolution stage, finest first."""

    features: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    """Stride on entering each stage; the first is all ones."""
    kernels: tuple[tuple[int, ...], ...]
    convolutions: tuple[int, ...]
    """Convolutions per encoder stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the data and the machine ask for; array order is canonical RAS+ (i, j[, k])."""

    channels: tuple[str, ...]
    labels: Labels
    spacing: tuple[float, ...]
    """mm: every case is resampled to it."""
    shape: tuple[int, ...]
    """Median shape in voxels at that spacing."""
    crop_nonzero: bool
    """Whether the empty border of each case is cut away before anything else."""
    normalisation: tuple[Normalisation, ...]
    """One per channel."""
    separate_axis: int | None
    """The axis that is resampled on its own, by nearest neighbour, because its voxels are long."""
    patch: tuple[int, ...]
    """Voxels, divisible by the network's total stride; 1 on the slice axis of a 2-D network."""
    batch_size: int
    network: Network
    memory_gb: float
    """Measured peak of one training step, in GB."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why each figure is what it is, in one sentence, by field name."""

    @property
    def left_right(self) -> int:
        """The axis from left to right: 0 in volumes (RAS+), 1 in pictures (rows, columns)."""
        return 0 if len(self.patch) == 3 else 1

    @property
    def seen_axes(self) -> tuple[int, ...]:
        """The axes that the network sees: all but the slice axis."""
        return tuple(axis for axis in range(len(self.patch)) if axis != self.slice_axis)

    @property
    def slice_axis(self) -> int | None:
        """The axis that a 2-D network walks along in volumes; None where network and data agree."""
        network_dims = len(self.network.strides[0])
        if network_dims == len(self.patch):
            return None
        return self.patch.index(1)
