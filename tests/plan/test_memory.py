"""The counted memory of a step against the tensors, and the process, of a real one."""

import json
import math
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from delineate.errors import PlanError
from delineate.labels import Labels
from delineate.models import UNet
from delineate.plan import measure_step
from delineate.plan.dry_run import Ledger, build_dry
from delineate.plan.memory import CPU_KERNELS_GB, available_gb
from delineate.plan.shape_rules import RULES

LABELS = Labels.from_names({"a": 1, "b": 2})
ops = torch.ops.aten


def _unet(width=8, stages=3, dims=3, **rest):
    return UNet(
        1,
        3,
        features=[width * 2**i for i in range(stages)],
        strides=[(1,) * dims, *[(2,) * dims] * (stages - 1)],
        kernels=[(3,) * dims] * stages,
        convolutions=[2] * stages,
        **rest,
    )


def _measure(model, patch, batch_size=2, labels=LABELS, device="cpu", precision="fp32"):
    return measure_step(
        model,
        patch=patch,
        batch_size=batch_size,
        channels=1,
        labels=labels,
        device=device,
        precision=precision,
    )


@pytest.mark.parametrize(
    "model",
    [
        lambda: nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 1)),
        lambda: nn.Sequential(
            nn.Conv3d(1, 4, 3, stride=2, padding=1),
            nn.BatchNorm3d(4),
            nn.LeakyReLU(inplace=True),
            nn.ConvTranspose3d(4, 3, 2, stride=2),
        ),
        lambda: nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.GELU(), nn.GroupNorm(2, 4)),
    ],
    ids=["plain", "strided", "rules of PyTorch's own"],
)
def test_the_ledger_counts_on_shapes_what_it_counts_on_real_tensors(model):
    def peak(device, rules):
        network = model().to(device)
        with Ledger(rules) as ledger:
            network(torch.ones((2, 1, 16, 16, 16), device=device)).sum().backward()
        return ledger.peak

    # Real kernels hold a few bytes of workspace that shapes do not tell of.
    assert peak("meta", RULES) == pytest.approx(peak("cpu", {}), rel=0.01)


def test_a_freed_tensor_leaves_the_ledger():
    with Ledger() as ledger:
        first = torch.ones(1000)
        view = first[:10]
        del first
        assert ledger.live == 4000
        del view
        second = torch.ones(500)

    assert (ledger.live, ledger.peak) == (2000, 4000)
    assert second.numel() == 500


FRESH_PROCESS = """
    import json
    import sys

    import torch
    from torch.nn import functional as F

    from delineate.labels import Labels
    from delineate.models import UNet
    from delineate.plan import measure_step
    from delineate.plan.dry_run import build_dry

    torch.set_num_threads(1)

    net = dict(strides=[(1,) * 3, (2,) * 3], kernels=[(3,) * 3] * 2, convolutions=[2, 2])
    model = build_dry(lambda: UNet(1, 2, features=[4, 8], deep_supervision=True, **net))
    measure_step(model, patch=(16, 16, 16), batch_size=2, channels=1,
        labels=Labels.from_names({"a": 1}), device="cpu", precision="fp32")
    loaded = [m for m in ("sympy", "torch._dynamo") if m in sys.modules]

    def memory(key):
        lines = open("/proc/self/status").read().splitlines()
        return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024

    def step(width, edge):
        shape = dict(strides=[(1, 1), (2, 2), (2, 2)], kernels=[(3, 3)] * 3)
        features = [width, 2 * width, 4 * width]
        model = UNet(1, 3, features=features, convolutions=[2] * 3, **shape)
        # What AdamW holds; a step of its own would take two seconds to load the compiler.
        moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in model.parameters()]
        truth = torch.zeros((2, edge, edge), dtype=torch.int64)
        logits = model(torch.ones(2, 1, edge, edge)).logits
        shares, one = logits.softmax(1), F.one_hot(truth, 3).movedim(-1, 1).float()
        dice = (2 * (shares * one).sum((2, 3)) + 1) / ((shares + one).sum((2, 3)) + 1)
        (F.cross_entropy(logits, truth) - dice.mean()).backward()

    peak = None
    if sys.platform == "linux":
        step(2, 16)
        before = memory("VmRSS")
        open("/proc/self/clear_refs", "w").write("5")
        step(16, 288)
        peak = (memory("VmHWM") - before) / 1e9
    print(json.dumps({"loaded": loaded, "peak": peak}))
"""


@pytest.fixture(scope="module")
def fresh_process():
    """What a process says that counts a network, then does a real step of another."""
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FRESH_PROCESS)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(told.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_the_counted_memory_is_near_that_of_a_real_step(fresh_process):
    counted = _measure(_unet(16, dims=2), (288, 288))

    assert counted == pytest.approx(fresh_process["peak"], rel=0.2)


def test_counting_a_unet_pulls_in_neither_compiler_nor_sympy(fresh_process):
    assert fresh_process["loaded"] == []


def test_memory_grows_in_proportion_to_the_batch():
    model = _unet()

    two, four, six = (_measure(model, (32, 32, 32), b) for b in (2, 4, 6))

    assert six - four == pytest.approx(four - two)
    assert four > two


def test_half_precision_takes_less_and_a_card_keeps_no_cpu_kernels():
    model = _unet(16)

    full = _measure(model, (32, 32, 32), 4, device="cuda:9")
    half = _measure(model, (32, 32, 32), 4, device="cuda:9", precision="bf16")

    assert 0.5 * full < half < 0.75 * full
    assert _measure(model, (32, 32, 32), 4) == pytest.approx(full + CPU_KERNELS_GB[3])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputing_the_stages_is_counted_as_less(precision):
    plain, lean = (
        _measure(_unet(checkpointing=c), (32, 32, 32), 4, device="cuda:9", precision=precision)
        for c in (False, True)
    )

    assert lean < 0.8 * plain


def test_deep_supervision_and_overlapping_masks_are_counted():
    labels = Labels.from_names({"a": 1, "b": 2, "c": 3}, overlapping=True)

    plain = _measure(_unet(), (32, 32, 32), labels=labels)
    deep = _measure(_unet(deep_supervision=True), (32, 32, 32), labels=labels)

    assert deep > plain


def test_measuring_leaves_the_model_alone():
    model = _unet()
    before = {k: v.clone() for k, v in model.state_dict().items()}

    _measure(model, (16, 16, 16))

    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_dry_model_has_no_weights_and_the_same_memory():
    dry = build_dry(_unet)

    assert {p.device.type for p in dry.parameters()} == {"meta"}
    assert _measure(dry, (16, 16, 16)) == _measure(_unet(), (16, 16, 16))


def test_a_model_that_reads_its_weights_while_it_is_built_is_built_for_real():
    class Curious(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv3d(1, 3, 1)
            self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]

        def forward(self, image):
            return self.layer(image)

    model = build_dry(Curious)

    assert model.rates == [0.0, 0.5, 1.0]
    assert _measure(model, (16, 16, 16)) > 0


def _both(operation, *args):
    ruled, reference = RULES[operation](*args), operation(*args)
    many = isinstance(reference, tuple | list)
    return zip(ruled if many else [ruled], reference if many else [reference], strict=True)


def _meta(*shape, dtype=torch.float32):
    return torch.empty(shape, device="meta", dtype=dtype)


_GRADIENT, _IMAGE, _WEIGHT = _meta(2, 6, 9, 5), _meta(2, 4, 9, 5), _meta(6, 4, 3, 3)
_KEPT = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        (ops.convolution.default, (_IMAGE, _WEIGHT, None, *_KEPT)),
        (
            ops.convolution.default,
            (_IMAGE, _meta(6, 2, 3, 1), None, [2, 1], [1, 0], [2, 1], False, [0, 0], 2),
        ),
        (
            ops.convolution.default,
            (_IMAGE, _meta(4, 3, 3, 2), None, [2], [1, 0], [1], True, [1, 0], 2),
        ),
        (
            ops.convolution_backward.default,
            (_GRADIENT, _IMAGE, _WEIGHT, [6], *_KEPT, [True, True, True]),
        ),
        (
            ops.convolution_backward.default,
            (_GRADIENT, _IMAGE, _WEIGHT, [0], *_KEPT, [False, True, False]),
        ),
        (ops.native_batch_norm.default, (_IMAGE, _meta(4), None, None, None, True, 0.1, 1e-5)),
        (
            ops.native_batch_norm_backward.default,
            (_IMAGE, _IMAGE, _meta(4), None, None, _meta(4), _meta(4), True, 1e-5, [True] * 3),
        ),
        (ops.repeat.default, (_meta(3, 2), [4, 1, 5])),
        (ops.cat.default, ([_meta(2, 3), _meta(2, 5)], -1)),
        (ops.sum.default, (_meta(2, 3),)),
        (ops.sum.dim_IntList, (_meta(2, 3, 4), [0, -1], True)),
        (ops.sum.dim_IntList, (_meta(2, 3, 4), [1])),
        (ops.add.Tensor, (_meta(2, 1), _meta(3))),
        (ops.add.Tensor, (_meta(2, 3), _meta(2, 3))),
        (ops.add.Tensor, (_meta(2, 3, dtype=torch.float16), 1.0)),
        (ops.leaky_relu_.default, (_meta(2, 3), 0.01)),
        (ops.threshold_backward.default, (_meta(2, 3), _meta(2, 3), 0)),
        (ops.ones_like.default, (_meta(2, 3),)),
    ],
    ids=lambda value: str(value) if "aten" in str(value)[:5] else "",
)
def test_each_rule_gives_the_shape_that_pytorch_gives(operation, args):
    for ruled, reference in _both(operation, *args):
        assert (ruled is None) == (reference is None)
        if reference is not None:
            assert (ruled.shape, ruled.dtype) == (reference.shape, reference.dtype)


def test_a_cpu_plan_takes_at_most_half_of_the_free_memory():
    allowed, why = available_gb("cpu")

    assert 0 < allowed <= 8
    assert "main memory" in why


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_the_memory_of_an_absent_card_must_be_said():
    with pytest.raises(PlanError, match=r"no card for device 'cuda' here.*plan\.memory_gb=8"):
        available_gb("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_a_real_step_on_the_card_is_near_the_counted_one():
    model = _unet(16)

    real = _measure(model, (64, 64, 64), device="cuda", precision="fp32")

    assert real == pytest.approx(_measure(model, (64, 64, 64)) - CPU_KERNELS_GB[3], rel=0.3)
    assert math.isinf(_measure(model, (4096, 4096, 4096), device="cuda"))
