import numpy as np

from delineate.io.volume import Grid, Volume
from delineate.labels import Class, Labels
from delineate.serve.answer import measure


def volume(array, affine):
    grid = Grid(shape=array.shape[1:], affine=affine)
    return Volume(array=array, affine=affine, source=grid)


def test_a_union_counts_all_of_its_parts_and_a_sheared_voxel_its_true_volume():
    labels = Labels(
        classes=(
            Class(name="organ", id=300),
            Class(name="cyst", id=2, parent="organ"),
            Class(name="all"),
            Class(name="vein", id=7, parent="all"),
        )
    )
    mask = np.random.default_rng(1).choice([0, 2, 7, 300], (1, 6, 7, 8)).astype(np.uint16)
    affine = np.array([[2.0, 1, 0, 0], [0, 3, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 1]])
    told = {c["name"]: c for c in measure(volume(mask, affine), labels)}
    counts = {
        name: int(np.isin(mask, own).sum())
        for name, own in (("organ", [2, 300]), ("cyst", 2), ("all", 7), ("vein", 7))
    }
    assert {name: c["voxels"] for name, c in told.items()} == counts
    assert told["organ"]["ml"] == round(counts["organ"] * 3.0 / 1000, 4)
    assert told["all"]["id"] is None


def test_overlapping_classes_are_counted_layer_by_layer_and_unions_once_per_voxel():
    labels = Labels(
        classes=(
            Class(name="whole"),
            Class(name="core", id=1, parent="whole"),
            Class(name="edge", id=2, parent="whole"),
        ),
        overlapping=True,
    )
    layers = np.random.default_rng(2).integers(0, 2, (2, 5, 6, 7)).astype(np.uint8)
    told = [c["voxels"] for c in measure(volume(layers, np.eye(4)), labels)]
    assert told == [layers.any(axis=0).sum(), layers[0].sum(), layers[1].sum()]
