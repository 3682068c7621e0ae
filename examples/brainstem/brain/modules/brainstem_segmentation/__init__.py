"""Prediction: from brain.modules.brainstem_segmentation import auto_segment_brainstem"""

from delineate.systems.brainstem import InferenceConfig, auto_segment_brainstem

__all__ = ["InferenceConfig", "auto_segment_brainstem"]
