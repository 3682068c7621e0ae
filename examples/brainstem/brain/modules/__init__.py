"""The document's modules: training in brainstem_seg, everything else in brainstem_segmentation."""
