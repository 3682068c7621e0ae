"""A picture of a case: the scan, the prediction, the truth and the errors."""

from delineate.systems.stroke.visualization import plot_segmentation_results

__all__ = ["plot_segmentation_results"]
