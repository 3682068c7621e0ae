from pathlib import Path

import pytest
import torch

from delineate.config import (
    Config,
    Data,
    LossTerm,
    Optimizer,
    Part,
    build,
    check,
    check_parts,
    load_config,
    resolve,
)
from delineate.errors import ConfigError

NETS = """
from collections.abc import Sequence
from dataclasses import dataclass
from torch import nn

class TinyUNet(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, *, depth: int = 2, width: int = 8):
        super().__init__()
        if depth < 1:
            raise ValueError("depth must be positive")
        self.given = (in_channels, out_channels, depth, width)

class Planned(nn.Module):
    def __init__(self, in_channels, features, strides, kernels, convolutions):
        super().__init__()
        self.given = (in_channels, features, strides)

class OtherMeaning(nn.Module):
    def __init__(self, spatial_dims, features=(1, 2)):
        super().__init__()
        self.given = (spatial_dims, features)

@dataclass
class Shapes:
    pairs: tuple[tuple[int, int], ...] = ()
    rows: Sequence[Sequence[int]] = ()

class OtherNames(nn.Module):
    def __init__(self, in_chans, num_classes, img_size):
        super().__init__()
        self.given = (in_chans, num_classes, img_size)

class Open:
    def __init__(self, first, **rest):
        self.given = (first, rest)

class Outer:
    class Inner:
        pass

def make(size):
    return [size]

not_a_class = 3
"""
KNOWN = {"in_channels": 2, "out_channels": 3, "spatial_dims": 3, "features": (4, 8)}
KNOWN |= {"strides": ((1,), (2,)), "kernels": ((3,), (3,)), "convolutions": (2, 2)}


@pytest.fixture(autouse=True)
def my_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "my_lab"
    package.mkdir()
    (package / "nets.py").write_text(NETS)
    (package / "broken.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    return package


def model(name: str, **arguments) -> Part:
    return Part(name=name, **arguments)


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(ConfigError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def test_a_bare_name_is_looked_up_in_the_package_of_its_part():
    assert resolve("AdamW", "torch.optim") is torch.optim.AdamW


def test_a_dotted_name_is_imported_down_to_a_nested_class():
    from my_lab import nets  # type: ignore[import-not-found] # written by the fixture

    assert resolve("my_lab.nets.TinyUNet", "delineate.models") is nets.TinyUNet
    assert resolve("my_lab.nets.Outer.Inner", "delineate.models") is nets.Outer.Inner
    assert resolve("torch.nn.CrossEntropyLoss", "delineate.losses") is torch.nn.CrossEntropyLoss


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adamw", "torch.optim has no 'adamw'. Did you mean 'AdamW'? It has: "),
        ("my_lab.nets.TinyUnet", "my_lab.nets has no 'TinyUnet'. Did you mean 'TinyUNet'?"),
        ("my_lab.nets.Outer.Iner", "my_lab.nets.Outer has no 'Iner'. Did you mean 'Inner'?"),
        ("my_lab.net.TinyUNet", "my_lab has no 'net'."),
        ("my_lab.nets.not_a_class", "'my_lab.nets.not_a_class' is a int, not a class or a "),
        ("my-lab.nets.X", "'my-lab.nets.X' is not an import path such as my_lab.nets.TinyUNet."),
        ("my_lap.nets.X", "there is no module 'my_lap'. Fix: install it, or start in the folder "),
        ("monai.nets.UNet", 'monai is not installed. Fix: pip install "delineate[monai]"'),
        (
            "my_lab.broken.X",
            "my_lab.broken cannot be imported: ModuleNotFoundError: No module named "
            "'surely_not_installed'",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_explained(name, message):
    assert refusal(resolve, name, "torch.optim").startswith(message)


def test_a_part_is_given_what_it_takes_and_its_own_arguments_come_first():
    built = build(model("my_lab.nets.TinyUNet", depth=4), "delineate.models", **KNOWN)
    assert built.given == (2, 3, 4, 8)
    own = model("my_lab.nets.TinyUNet", in_channels=7)
    assert build(own, "delineate.models", **KNOWN).given == (7, 3, 2, 8)


def test_the_topology_goes_to_networks_that_name_all_of_it():
    built = build(model("my_lab.nets.Planned"), "delineate.models", **KNOWN)
    assert built.given == (2, (4, 8), ((1,), (2,)))
    built = build(model("my_lab.nets.OtherMeaning"), "delineate.models", **KNOWN)
    assert built.given == (3, (1, 2))


def test_a_foreign_network_is_given_channels_under_the_names_it_has_for_them():
    built = build(
        model("my_lab.nets.OtherNames"), "delineate.models", **KNOWN, img_size=(32, 48, 32)
    )
    assert built.given == (2, 3, (32, 48, 32))
    own = model("my_lab.nets.OtherNames", num_classes=9, img_size=8)
    assert build(own, "delineate.models", **KNOWN).given == (2, 9, 8)


def test_lists_are_tuples_where_the_signature_says_tuple_and_lists_elsewhere():
    part = model("my_lab.nets.Shapes", pairs=[[1, 2], [3, 4]], rows=[[1], [2]])
    built = build(part, "delineate.models")
    assert built.pairs == ((1, 2), (3, 4))
    assert built.rows == [[1], [2]]


def test_a_constructor_that_takes_anything_is_given_everything():
    built = build(model("my_lab.nets.Open", first=1, second=[2]), "delineate.models", **KNOWN)
    assert built.given == (1, {"second": [2]})


def test_a_function_is_called():
    assert build(model("my_lab.nets.make", size=3), "delineate.models") == [3]


def test_an_optimizer_and_a_loss_of_torch_are_built():
    weights = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = build(
        Optimizer.model_validate({"lr": 0.1, "betas": [0.8, 0.9]}), "torch.optim", params=weights
    )
    assert optimizer.defaults["lr"] == 0.1
    assert optimizer.defaults["betas"] == (0.8, 0.9)
    term = LossTerm.model_validate({"name": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.1})
    assert build(term, "delineate.losses", overlapping=False).label_smoothing == 0.1


def test_an_optimizer_without_weight_decay_is_named_with_null():
    part = Optimizer(name="LBFGS", weight_decay=None)
    check(part, "torch.optim")
    assert "unknown argument 'weight_decay'" in refusal(
        check, Optimizer(name="LBFGS"), "torch.optim"
    )


def test_a_constructor_that_refuses_a_value_is_quoted():
    part = model("my_lab.nets.TinyUNet", depth=0)
    assert refusal(build, part, "delineate.models", **KNOWN) == (
        "my_lab.nets.TinyUNet refuses its arguments: depth must be positive"
    )


def test_arguments_are_checked_against_the_signature():
    part = model("my_lab.nets.TinyUNet", dept=4)
    assert refusal(check, part, "delineate.models") == (
        "my_lab.nets.TinyUNet: unknown argument 'dept'. "
        "Did you mean 'depth'? It takes: depth and width."
    )


def test_every_part_is_checked_at_once_with_the_line_of_each_mistake(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("""\
data: {root: scans}
model:
  name: my_lab.nets.TinyUNet
  dept: 3
loss:
  - name: Dise
  - name: CrossEntropy
    overlapping: maybe
optimizer:
  name: my_lab.nets.Planned
  weight_decay: null
schedule:
  name: Cosine
  warm_up: 0.1
""")
    config = load_config(path, ["schedule.warmup=soon"])
    lines = refusal(check_parts, config).splitlines()
    assert lines[0] == (
        f"{path}:4: model (my_lab.nets.TinyUNet): unknown argument 'dept'. Did you mean 'depth'? "
        "It takes: depth and width."
    )
    assert lines[1].startswith(
        f"{path}:6: loss.0.name: delineate.losses has no 'Dise'. Did you mean 'Dice'? It has: "
    )
    assert lines[2] == (
        f"{path}:8: loss.1 (CrossEntropy): overlapping wants true or false, got 'maybe'."
    )
    assert lines[3].startswith(f"{path}:9: optimizer (my_lab.nets.Planned): unknown argument 'lr'.")
    assert lines[4:9] == [
        f"{path}:9: optimizer (my_lab.nets.Planned): missing argument '{name}'."
        for name in ("in_channels", "features", "strides", "kernels", "convolutions")
    ]
    assert lines[9:] == [
        f"{path}:14: schedule (Cosine): unknown argument 'warm_up'. Did you mean 'warmup'? "
        "It takes: warmup and end.",
        "command line: schedule (Cosine): warmup wants a number, got 'soon'.",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axes": [0, 2], "probability": 1}, None),
        ({"axes": None}, None),
        ({"axes": 0}, "axes wants a list of whole numbers, left_right or null, got 0."),
        ({"axes": [0.5]}, "axes wants a list of whole numbers, left_right or null, got [0.5]."),
        ({"probability": True}, "probability wants a number, got true."),
    ],
)
def test_the_types_that_our_own_parts_state_are_checked(arguments, message):
    part = model("Flip", **arguments)
    if message is None:
        check(part, "delineate.augment")
    else:
        assert refusal(check, part, "delineate.augment") == f"Flip: {message}"


def test_a_configuration_made_in_python_is_checked_without_lines():
    config = Config(data=Data(root=Path("a")), schedule=Part(name="Cosin"))
    assert refusal(check_parts, config).startswith(
        "schedule.name: delineate.engine.schedules has no 'Cosin'. Did you mean 'Cosine'?"
    )
