"""Augmentation of one sample at a time, as the training does it.

pipeline = AugmentationPipeline(elastic_prob=0.8, noise_prob=0.6, cutmix_prob=0.4)
volume, labels = pipeline.augment_sample(volume, labels, subdivisions, other_volume, other_labels)
"""

from delineate.systems.brainstem import AugmentationPipeline

__all__ = ["AugmentationPipeline"]
