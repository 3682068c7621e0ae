import pytest
import torch

from delineate.engine.hardware import choose_compile, choose_device, choose_precision
from delineate.errors import ConfigError


def test_without_a_card_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(ConfigError, match=r"there is no CUDA card here\. Fix: use cpu or auto"):
        choose_device("cuda")


def test_with_a_card_auto_takes_it_and_cpu_does_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == "cuda"
    assert choose_device("cpu") == "cpu"


@pytest.mark.parametrize(("in_hardware", "expected"), [(True, "bf16"), (False, "fp32")])
def test_a_cpu_gets_bf16_only_where_it_has_it_in_hardware(monkeypatch, in_hardware, expected):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: in_hardware)
    assert choose_precision("auto", "cpu") == expected


def test_a_cpu_refuses_fp16():
    with pytest.raises(ConfigError, match="a CPU cannot train in fp16"):
        choose_precision("fp16", "cpu")


@pytest.mark.parametrize(
    ("wish", "device", "long", "expected"),
    [
        ("auto", "cuda", True, True),
        ("auto", "cuda", False, False),
        ("auto", "cpu", True, False),
        (True, "cpu", False, True),
        (False, "cuda", True, False),
    ],
)
def test_only_long_trainings_on_a_card_are_compiled_unasked(
    wish, device, long, expected, monkeypatch
):
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/c++")
    assert choose_compile(wish, device, long=long) is expected


def test_compiling_without_a_compiler_is_refused_or_left_out(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not choose_compile("auto", "cuda", long=True)
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler and finds none\. Fix: install"):
        choose_compile(True, "cpu", long=True)
