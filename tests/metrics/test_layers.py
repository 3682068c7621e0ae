import numpy as np

from delineate.labels import Class, Labels
from delineate.metrics.layers import layers

TUMOUR = Labels(
    classes=(
        Class(name="whole"),
        Class(name="oedema", id=2, parent="whole"),
        Class(name="core", parent="whole"),
        Class(name="necrosis", id=1, parent="core"),
        Class(name="enhancing", id=4, parent="core"),
    ),
    ignore=9,
)
RNG = np.random.default_rng(5)


def test_every_class_is_the_union_of_its_members_in_just_one_layer():
    prediction, truth = TUMOUR.encode(RNG.choice([0, 0, 0, 1, 2, 4, 9], (2, 6, 7, 5)))
    prediction[:, :, 0] = truth[:, :, 0] = 0
    seen = []
    for layer in layers(prediction, truth, TUMOUR):
        for number, name in layer.names.items():
            seen.append(name)
            for image, mask in ((layer.prediction, prediction), (layer.truth, truth)):
                there = np.isin(mask, TUMOUR.members(name)) & (truth >= 0)
                np.testing.assert_array_equal(image == number, there[:, :, 1:])
    assert sorted(seen) == sorted(TUMOUR.names)


def test_nested_unions_take_as_many_layers_as_they_are_deep():
    mask = TUMOUR.encode(RNG.choice([1, 2, 4], (4, 4)))
    assert [set(layer.names.values()) for layer in layers(mask, mask, TUMOUR)] == [
        {"oedema", "necrosis", "enhancing"}, {"core"}, {"whole"},
    ]  # fmt: skip


def test_hundreds_of_exclusive_classes_are_one_layer():
    labels = Labels.from_names({str(i): i for i in range(1, 301)})
    mask = RNG.integers(0, 301, (30, 30)).astype(np.int16)
    (layer,) = layers(mask, mask, labels)
    assert len(layer.names) == 300


def test_a_layer_is_cut_to_the_box_of_both_masks():
    labels = Labels.from_names({"a": 1, "b": 2})
    prediction, truth = np.zeros((2, 9, 9), np.uint8)
    prediction[2, 3] = truth[5, 4] = 1
    (layer,) = layers(prediction, truth, labels)
    assert layer.truth.shape == (4, 2)


def test_nothing_at_all_is_an_empty_layer():
    labels = Labels.from_names({"a": 1})
    empty = np.zeros((4, 5, 6), np.uint8)
    (layer,) = layers(empty, empty, labels)
    assert layer.truth.size == 0
