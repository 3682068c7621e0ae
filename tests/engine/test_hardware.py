import pytest
import torch

from delineate.engine.hardware import choose_device, choose_precision
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
