"""How metrics and their figures are written on the page."""

from delineate.metrics.direction import bounds

__all__ = ["figure_text", "is_share", "title"]

WORDS = {
    "iou": "IoU", "dice": "Dice", "hd": "HD", "hd95": "HD95", "assd": "ASSD", "ece": "ECE",
    "auc": "AUC", "f1": "F1", "nsd": "NSD",
}  # fmt: skip
UNITS = {"mm": "mm", "ml": "ml", "percent": "%"}


def title(metric: str) -> str:
    """`hd95_mm` is HD95 (mm), `surface_dice_1mm` is Surface Dice 1 mm."""
    *words, last = metric.split("_")
    unit = f" ({UNITS[last]})" if last in UNITS and words else ""
    spoken = " ".join(WORDS.get(w, _spaced(w)) for w in (words if unit else [*words, last]))
    return spoken[:1].upper() + spoken[1:] + unit


def is_share(metric: str) -> bool:
    """Whether its figures lie in 0..1."""
    return bounds(metric) == (0.0, 1.0)


def figure_text(value: float) -> str:
    """A figure for reading: page.js writes the same."""
    if abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def _spaced(word: str) -> str:
    """`1mm` is 1 mm."""
    number = word.removesuffix("mm")
    return f"{number} mm" if number != word and number[:1].isdigit() else word
