from delineate.engine.weight_names import namings, unwrapped


def read(names: list[str]) -> list[dict[str, str]]:
    return list(namings(names))


def test_what_training_scripts_put_before_a_name_is_taken_off():
    wrapped = ["module.model._orig_mod.a.weight", "module.model._orig_mod.b.weight", "loss.weight"]
    assert list(unwrapped(wrapped).values()) == ["a.weight", "b.weight", "loss.weight"]


def test_names_as_they_are_come_first():
    assert read(["model.a", "model.b"])[:2] == [
        {"model.a": "model.a", "model.b": "model.b"},
        {"model.a": "a", "model.b": "b"},
    ]


def test_a_decoder_that_counts_from_the_coarsest_is_turned_round():
    found = read(
        [
            "decoder.transpconvs.0.weight",
            "decoder.transpconvs.1.weight",
            "decoder.stages.0.convs.1.norm.bias",
            "decoder.seg_layers.1.bias",
            "decoder.encoder.stages.0.0.convs.0.conv.weight",
        ]
    )
    assert {
        "decoder.transpconvs.0.weight": "up.1.weight",
        "decoder.transpconvs.1.weight": "up.0.weight",
        "decoder.stages.0.convs.1.norm.bias": "decoder.1.1.norm.bias",
        "decoder.seg_layers.1.bias": "heads.0.bias",
    } in found


def test_the_stem_of_a_residual_encoder_is_the_first_part_of_our_finest_stage():
    names = {
        "encoder.stem.convs.0.conv.weight": "encoder.0.0.convolution.weight",
        "encoder.stages.0.blocks.0.conv1.conv.weight": "encoder.0.1.first.convolution.weight",
        "encoder.stages.1.blocks.0.conv2.norm.weight": "encoder.1.0.norm.weight",
        "encoder.stages.1.blocks.0.skip.1.conv.weight": "encoder.1.0.skip.1.weight",
        "encoder.stages.1.blocks.0.skip.1.norm.bias": "encoder.1.0.skip.2.bias",
    }
    assert names in read([*names])


def test_a_resnet_as_a_list_of_layers_gets_the_names_of_torchvision():
    names = {
        "backbone.0.weight": "conv1.weight",
        "backbone.1.running_mean": "bn1.running_mean",
        "backbone.4.0.conv1.weight": "layer1.0.conv1.weight",
        "backbone.7.2.bn3.bias": "layer4.2.bn3.bias",
    }
    assert names in read([*names])
