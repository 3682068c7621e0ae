import pytest
from sadaan_commands import commands

from delineate.errors import ConfigError
from delineate.systems.sadaan.command_line import CommandLine, show_settings
from delineate.systems.sadaan.settings import Settings, read_settings


def read(*words: str) -> Settings:
    return read_settings(CommandLine.read(words).values)


def test_every_documented_command_line_is_read():
    found = [read(*line) for line in commands()]
    assert len(found) == 31
    assert found[0] == found[25] == Settings()
    assert str(found[1].dataset_path) == "my_medical_dataset_hdf5"
    assert (found[2].training.batch_size, found[2].training.learning_rate) == (8, 1e-3)
    assert found[6].model.in_channels == 3
    assert found[12].augmentation.intensity_scale_range == (0.9, 1.1)
    assert found[13].augmentation.enabled is False
    assert found[16].optimizer.lr_scheduler == "reduce_on_plateau"
    assert found[20].training.image_size == (256, 256, 128)
    assert found[22].logging.visualize_predictions is True
    assert found[30].training.batch_size == 8


def test_a_partial_dict_goes_over_the_defaults():
    weights = read(*commands()[29]).loss_weights
    assert weights.model_dump() == {
        "segmentation": 1.0,
        "dice": 4.0,
        "focal_seg": 0.5,
        "absence": 1.0,
        "attention_supervision": 2.0,
        "false_positive_suppression": 0.5,
        "confidence": 0.1,
    }


def test_what_is_said_later_wins_and_a_dict_keeps_what_was_said_before():
    line = ("with", "loss_weights.dice=3", "loss_weights={'focal_seg': 2}", "loss_weights.dice=5")
    weights = read(*line).loss_weights
    assert (weights.dice, weights.focal_seg) == (5, 2)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "training.epochs=5",
            "unknown key 'training.epochs'. Did you mean 'training.num_epochs'?",
        ),
        ("batch_size=8", "unknown key 'batch_size'. Did you mean 'training.batch_size'?"),
        ("loss_weight.dice=3", "unknown key 'loss_weight'. Did you mean 'loss_weights'?"),
        (
            "loss_weights={'dise': 3}",
            "unknown key 'loss_weights.dise'. Did you mean 'loss_weights.dice'?",
        ),
        ("training.batch_size=0", "training.batch_size wants a whole number of at least 1, got 0."),
        (
            "training.num_epochs=2.5",
            "training.num_epochs wants a whole number of at least 1, got 2.5.",
        ),
        ("augmentation.enabled=yes", "augmentation.enabled wants True or False, got 'yes'."),
        ("loss_weights=3", "loss_weights wants a section of keys, got 3."),
        (
            "optimizer.type=sgd",
            "optimizer.type wants adamw or adam, got 'sgd'.",
        ),
        (
            "training.image_size=[64,64]",
            "training.image_size wants a list of three whole numbers above 0 or null, "
            "got [64, 64].",
        ),
        (
            "augmentation.intensity_scale_range=[1.1,0.9]",
            "augmentation.intensity_scale_range wants the lower number first, got [1.1, 0.9].",
        ),
    ],
)
def test_a_slip_is_named_with_what_was_meant(word: str, message: str):
    with pytest.raises(ConfigError) as caught:
        read("with", word)
    assert str(caught.value) == message


def test_all_slips_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        read("with", "training.epochs=5", "seed=-1")
    assert len(str(caught.value).splitlines()) == 2


def test_a_value_that_is_given_and_then_opened_is_refused():
    with pytest.raises(ConfigError, match=r"^seed.a=1: 'seed' was given a value"):
        read("with", "seed=3", "seed.a=1")


def test_options_and_files_are_left_to_sacred():
    line = CommandLine.read(["-m", "host:27017:sadaan", "with", "mine.yaml", "seed=3", "-p"])
    assert line.values == {"seed": 3}
    assert line.others == ("-m", "-p", "mine.yaml")
    assert CommandLine.read(["print_config", "with", "seed=3"]).command == "print_config"


def test_settings_are_shown_nested_and_in_order():
    shown = show_settings({"b": {"y": [1, 2], "x": "text"}, "a": None})
    assert shown == "  a = None\n  b:\n    x = 'text'\n    y = [1, 2]"


def test_plain_settings_read_back_as_the_same():
    settings = read("with", "training.image_size=[32,32,16]", "resume=best_model.pth")
    assert read_settings(settings.plain()) == settings
