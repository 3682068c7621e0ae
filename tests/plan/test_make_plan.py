"""A plan from figures alone: what the rules say, what memory allows, what a person asks for."""

import re

import pytest

from delineate.errors import PlanError
from delineate.labels import Labels
from delineate.models import ResidualUNet, UNet
from delineate.plan import (
    CaseFacts,
    Fingerprint,
    Intensity,
    make,
    make_plan,
    memory,
    read_plan,
    write_plan,
)

INTENSITY = Intensity(
    mean=81.23456789, deviation=30, median=80, low=-20, high=190, minimum=-900, maximum=1200
)


def _build(plan):
    net = plan.network
    return UNet(
        len(plan.channels),
        plan.labels.channels,
        features=net.features,
        strides=net.strides,
        kernels=net.kernels,
        convolutions=net.convolutions,
    )


def _fingerprint(shape=(36, 50, 35), spacing=(1.0, 1.0, 1.0), num=260, channels=("T1",), box=None):
    cases = [
        CaseFacts(id=f"c{i}", shape=shape, spacing=spacing, box=box or shape, voxels={0: 9, 1: 1})
        for i in range(num)
    ]
    return Fingerprint(
        dims=len(shape),
        channels=channels,
        labels=Labels.from_names({"a": 1, "b": 2}),
        cases=tuple(cases),
        intensities=(INTENSITY,) * len(channels),
    )


def _plan(fingerprint, **wishes):
    wishes.setdefault("memory_gb", 8.0)
    return make_plan(fingerprint, build_model=_build, **wishes)


def test_the_hippocampus_on_a_card_gets_its_published_plan():
    plan = _plan(_fingerprint(), device="cuda")

    assert plan.patch == (40, 56, 40)
    assert plan.batch_size == 9
    assert plan.network.features == (32, 64, 128, 256)
    assert plan.spacing == (1.0, 1.0, 1.0)
    assert plan.shape == (36, 50, 35)
    assert plan.separate_axis is None
    assert plan.slice_axis is None
    assert 0 < plan.memory_gb < 8


def test_a_cpu_gets_half_the_width_and_a_small_batch():
    plan = _plan(_fingerprint(), device="cpu")

    assert plan.patch == (32, 48, 32)  # 36 x 50 x 35, cut and not padded
    assert plan.batch_size == 2
    assert plan.network.features == (16, 32, 64, 128)
    assert "CPU" in plan.reasons["batch_size"]
    assert "CPU" in plan.reasons["network"]


def test_a_patch_on_a_cpu_has_at_most_the_voxels_of_a_cube_of_64():
    plan = _plan(_fingerprint((300, 280, 260), (0.8, 0.8, 0.8), num=20), device="cpu")

    assert plan.patch == (64, 64, 64)
    assert "CPU" in plan.reasons["patch"]


@pytest.mark.parametrize(("device", "tight", "ample"), [("cpu", 0.3, 0.5), ("cuda", 3.0, 6.0)])
def test_the_patch_shrinks_until_the_step_fits(device, tight, ample):
    large = _fingerprint((300, 280, 260), (0.8, 0.8, 0.8), num=20)

    plan = _plan(large, memory_gb=tight, device=device)
    roomy = _plan(large, memory_gb=ample, device=device)

    assert plan.memory_gb <= tight
    assert plan.batch_size == 2
    assert roomy.memory_gb <= ample
    assert sum(roomy.patch) > sum(plan.patch)
    assert re.search(
        rf"{tight} GB \(as asked for\); \d+ larger ones did not", plan.reasons["patch"]
    )


def test_the_batch_grows_into_the_memory_that_is_left():
    full = _plan(_fingerprint(), device="cuda").memory_gb

    plan = _plan(_fingerprint(), device="cuda", memory_gb=0.6 * full)

    assert 2 < plan.batch_size < 9
    assert 0.4 * full < plan.memory_gb <= 0.6 * full
    assert "More would exceed" in plan.reasons["batch_size"]


def test_a_small_data_set_is_not_over_batched():
    few = _plan(_fingerprint(num=60), device="cuda")
    fewer = _plan(_fingerprint(num=5), device="cuda")

    assert few.batch_size == 2  # 5 % of 60 x 36 x 50 x 35 voxels are two patches
    assert fewer.batch_size == 2
    assert _plan(_fingerprint(num=100), device="cuda").batch_size == 4
    assert "5%" in few.reasons["batch_size"]


def test_too_little_memory_says_how_much_would_do():
    with pytest.raises(
        PlanError, match=r"no patch fits in memory: \d+x\d+x\d+ .* batch 1"
    ) as error:
        _plan(_fingerprint(), memory_gb=0.02)

    enough = float(re.findall(r"plan\.memory_gb=([\d.]+) would do", str(error.value))[0])
    assert _plan(_fingerprint(), memory_gb=enough).batch_size == 1


def test_wishes_are_kept_and_said():
    plan = _plan(
        _fingerprint(), spacing=(1, 2, 1), patch=(32, 24, 32), batch_size=5, width=8, device="cuda"
    )

    assert plan.spacing == (1.0, 2.0, 1.0)
    assert plan.shape == (36, 25, 35)
    assert plan.patch == (32, 24, 32)
    assert plan.batch_size == 5
    assert plan.network.features[0] == 8
    for key in ("spacing", "patch", "batch_size", "network"):
        assert "as asked for" in plan.reasons[key].lower()


def test_a_wish_that_does_not_fit_is_refused():
    with pytest.raises(PlanError, match=r"64x64x64 voxels with batch 4 takes"):
        _plan(_fingerprint(), patch=(64, 64, 64), batch_size=4, memory_gb=0.5)


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"patch": (40, 50, 40)}, "Fix: plan.patch=[40, 56, 40] can."),
        ({"patch": (40, 56)}, "plan.patch has 2 entries, [40, 56], but the data have 3 axes."),
        ({"patch": (4, 4, 4)}, "plan.patch=[4, 4, 4] is too small to be halved."),
        ({"spacing": (1.0,)}, "plan.spacing has 1 entries, [1.0], but the data have 3 axes."),
        ({"spacing": (1.0, -1.0, 1.0)}, "plan.spacing=(1.0, -1.0, 1.0) must be greater than 0."),
        ({"batch_size": 0}, "plan.batch_size=0 must be greater than 0."),
        ({"dims": 4}, "plan.dims=4 asks for 4 axes; the data have 3. Fix: 2 or 3."),
        ({"dims": 2, "patch": (40, 56, 40)}, "along axis 2, where plan.patch=[40, 56, 40] must be"),
        ({"dims": 3, "patch": (40, 56, 1)}, "plan.patch=[40, 56, 1] is a slice, but plan.dims=3."),
        ({"memory_gb": -1.0}, "plan.memory_gb=-1.0 must be greater than 0."),
    ],
)
def test_a_wish_that_cannot_be_is_named(wishes, told):
    with pytest.raises(PlanError, match=re.escape(told)):
        _plan(_fingerprint(), **wishes)


def test_slices_of_volumes_lie_across_the_longest_voxels():
    plan = _plan(_fingerprint((200, 30, 180), (0.8, 4.0, 0.8), num=30), dims=2, device="cuda")

    assert plan.patch == (224, 1, 192)
    assert plan.slice_axis == 1
    assert {len(s) for s in (*plan.network.strides, *plan.network.kernels)} == {2}
    assert "axis 1" in plan.reasons["patch"]


def test_slices_of_cubic_voxels_are_axial():
    assert _plan(_fingerprint(), dims=2).slice_axis == 2


def test_volumes_of_one_slice_get_a_two_dimensional_network():
    assert _plan(_fingerprint((1, 64, 64), (1.0, 1.0, 1.0), num=30)).patch == (1, 64, 64)


def test_a_patch_of_one_slice_asks_for_a_two_dimensional_network():
    assert _plan(_fingerprint(), patch=(32, 1, 32)).slice_axis == 1


def test_pictures_get_two_axes_throughout():
    channels = ("red", "green", "blue")
    plan = _plan(_fingerprint((512, 500), (1.0, 1.0), num=16, channels=channels), device="cuda")

    assert plan.patch == (512, 512)
    assert plan.slice_axis is None
    assert [n.kind for n in plan.normalisation] == ["zscore"] * 3
    assert plan.separate_axis is None


def test_anisotropic_voxels_are_resampled_apart():
    plan = _plan(_fingerprint((256, 256, 20), (0.8, 0.8, 4.0), num=30))

    assert plan.separate_axis == 2
    assert plan.network.kernels[0] == (3, 3, 1)
    assert plan.network.strides[1] == (2, 2, 1)


@pytest.mark.parametrize("name", ["CT", "ct", "CT_portal", "abdominal-ct", "CBCT", "CTA"])
def test_ct_is_clipped_to_the_figures_of_the_data_set(name):
    (chosen,) = _plan(_fingerprint(channels=(name,))).normalisation

    assert (chosen.kind, chosen.low, chosen.high) == ("ct", -20.0, 190.0)
    assert (chosen.mean, chosen.deviation) == (81.2346, 30.0)


@pytest.mark.parametrize("name", ["T1", "structural", "contrast", "FLAIR", "direct", "acT2"])
def test_other_channels_are_normalised_case_by_case(name):
    (chosen,) = _plan(_fingerprint(channels=(name,))).normalisation

    assert (chosen.kind, chosen.nonzero) == ("zscore", False)


def test_an_empty_border_is_cut_away_and_left_out_of_the_figures():
    cut = _plan(_fingerprint((60, 60, 60), box=(40, 48, 44), channels=("T1", "CT")))
    kept = _plan(_fingerprint((60, 60, 60), box=(55, 55, 55)))

    assert cut.crop_nonzero
    assert cut.shape == (40, 48, 44)
    assert [n.nonzero for n in cut.normalisation] == [True, False]
    assert not kept.crop_nonzero
    assert kept.shape == (60, 60, 60)


def test_scans_of_a_few_voxels_cannot_be_planned():
    with pytest.raises(PlanError, match="the scans are too small to learn from, 5x5x5 voxels"):
        _plan(_fingerprint((5, 5, 5)))


def test_every_choice_has_a_reason_and_the_file_keeps_them(tmp_path):
    plan = _plan(_fingerprint())

    assert set(plan.reasons) == {
        "spacing",
        "shape",
        "crop_nonzero",
        "normalisation",
        "separate_axis",
        "patch",
        "batch_size",
        "network",
        "memory_gb",
    }
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan


def test_the_memory_is_that_of_the_network_that_is_trained():
    def residual(plan):
        net = plan.network
        shape = {"features": net.features, "strides": net.strides, "kernels": net.kernels}
        return ResidualUNet(len(plan.channels), plan.labels.channels, **shape)

    wishes = {"memory_gb": 2.0, "patch": (32, 32, 32), "batch_size": 2, "width": 8}
    plain = make_plan(_fingerprint(), build_model=_build, **wishes)
    other = make_plan(_fingerprint(), build_model=residual, **wishes)

    assert other.network == plain.network
    assert other.memory_gb > 1.1 * plain.memory_gb


def test_an_asked_patch_is_halved_as_often_as_it_can_be():
    scans = _fingerprint(shape=(197, 233, 189))
    plan = _plan(scans, patch=(144, 144, 144), batch_size=1, width=4, memory_gb=80.0)
    assert plan.patch == (144, 144, 144)
    assert plan.network.strides == ((1, 1, 1), *((2, 2, 2),) * 4)  # to 9 voxels, not to 4.5
    with pytest.raises(PlanError, match=r"Fix: plan\.patch=\[160, 160, 160\] can\."):
        _plan(scans, patch=(136, 136, 136), batch_size=1, width=4)


@pytest.mark.parametrize("wish", [True, False])
def test_air_is_left_out_of_the_figures_of_a_scan_where_that_is_asked_for(wish: bool):
    found = _plan(_fingerprint(), nonzero=wish).normalisation
    assert [(rule.kind, rule.nonzero) for rule in found] == [("zscore", wish)]
    cut = _fingerprint(shape=(72, 100, 70), box=(36, 50, 35))
    assert _plan(cut, nonzero=wish).normalisation[0].nonzero == wish
    assert _plan(cut).normalisation[0].nonzero


def test_on_a_card_networks_without_memory_are_counted_and_real_ones_are_measured(monkeypatch):
    measured = []

    def real_step(model, shapes, ids, device, precision):
        assert not any(weight.is_meta for weight in model.parameters())
        measured.append(shapes[0])
        return 1.0

    monkeypatch.setattr(memory, "has_card", lambda device: True)
    monkeypatch.setattr(make, "has_card", lambda device: True)
    monkeypatch.setattr(memory, "_real_step", real_step)
    plan = make_plan(_fingerprint(), build_model=_build, device="cuda", memory_gb=4.0)
    assert measured
    assert plan.memory_gb == 1.0
    assert plan.reasons["memory_gb"].startswith("Peak of a real step on the card")
