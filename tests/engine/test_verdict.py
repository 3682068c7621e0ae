"""What binds, by invented times."""

from dataclasses import replace

import pytest

from delineate.engine.profile import Profile
from delineate.engine.step import PARTS
from delineate.engine.verdict import describe, to_json, verdict


def parts(**milliseconds: float) -> dict[str, float]:
    return {part: milliseconds.get(part, 0.0) / 1e3 for part in PARTS}


def profile(others=None, **milliseconds) -> Profile:
    """A profile on a CPU without reading processes; `others` are times of a step by their number.

    What is not named is the network's: 302 ms a step in all.
    """
    rest = 302 - sum(milliseconds.values())
    seconds = parts(forward=rest * 0.25, backward=rest * 0.75, **milliseconds)
    return Profile(
        device="cpu",
        precision="fp32",
        compiled=False,
        batch_size=2,
        steps=20,
        workers=0,
        by_workers={0: seconds} | {n: parts(forward=ms) for n, ms in (others or {}).items()},
        reading=0.05,
        flops=30_000_000_000,
        matmul=2e11,
        memory_gb=1.234,
        busy=None,
    )


def on_card(made: Profile, **facts) -> Profile:
    return replace(made, **{"device": "cuda", "precision": "bf16", "busy": 0.9, **facts})


def test_reading_binds_and_the_fastest_number_of_readers_is_named():
    assert verdict(profile(read=173, others={4: 135, 2: 180})) == (
        "Reading binds: the training waits 173 of 302 ms for samples. "
        "Fix: train.workers=4: a step takes 135 ms then."
    )


def test_where_more_readers_do_not_help_it_says_so():
    assert verdict(profile(read=173, others={2: 290})) == (
        "Reading binds: the training waits 173 of 302 ms for samples. Another number of readers "
        "does not help (tried: 0, 2). Fix: data.cache on a faster disk, or more free main memory, "
        "so that the cases stay in it."
    )


@pytest.mark.parametrize(("waiting", "binds"), [(30, "The network"), (31, "Reading")])
def test_a_tenth_of_waiting_is_too_much(waiting, binds):
    assert verdict(profile(read=waiting)).startswith(f"{binds} binds: ")


def test_readers_that_take_cores_from_the_training_bind():
    assert verdict(profile(others={2: 250})) == (
        "The reading processes bind: they take cores from the training, whose step takes 302 ms "
        "with train.workers=0 but 250 ms with 2. Fix: train.workers=2."
    )


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (
            "transfer",
            "Copying to the card binds: 100 of 302 ms (33 %). Fix: weaker rotations and zooms in "
            "augment (they read a wider margin), or fewer channels.",
        ),
        (
            "augment",
            "Augmentation binds: 100 of 302 ms (33 %). Fix: fewer transforms in augment, or a "
            "lower probability of each.",
        ),
        (
            "loss",
            "The loss binds: 100 of 302 ms (33 %). Fix: fewer or cheaper terms in loss.",
        ),
        (
            "optimiser",
            "The optimiser binds: 100 of 302 ms (33 %). Fix: a cheaper optimizer.name, or "
            "train.accumulate=4, which moves the weights less often.",
        ),
    ],
)
def test_a_part_that_is_not_the_network_binds_from_a_quarter(part, text):
    assert verdict(profile(**{part: 100})) == text
    assert verdict(profile(**{part: 75})).startswith("The network binds: ")
    assert not verdict(profile(**{part: 76})).startswith("The network binds: ")


def test_of_two_parts_the_larger_one_binds():
    assert verdict(profile(augment=80, loss=90)).startswith("The loss binds: ")


def test_on_a_cpu_only_a_smaller_network_or_patch_helps():
    assert verdict(profile(read=2)) == (
        "The network binds: backward 75 %, forward 25 %; reading waits 1 %. A smaller plan.width "
        "or plan.patch is the only thing that helps on this CPU."
    )


@pytest.mark.parametrize(
    ("facts", "fix"),
    [
        (
            {"precision": "fp32"},
            "Fix: train.precision=auto, which computes in 16 bits on this card.",
        ),
        ({}, "Fix: train.compile=true, then a smaller plan.width or plan.patch."),
        (
            {"compiled": True},
            "A smaller plan.width or plan.patch is the only thing that helps on this card.",
        ),
    ],
)
def test_on_a_card_a_shorter_type_and_the_compiler_come_first(facts, fix):
    assert verdict(on_card(profile(), **facts)).endswith(f"reading waits 0 %. {fix}")


def test_a_card_that_idles_between_kernels_waits_for_the_processor():
    idle = on_card(profile(augment=100), busy=0.45)
    assert verdict(idle) == (
        "The processor binds: the card computes 45% of the time and then waits to be told what is "
        "next. Fix: train.compile=true, or a larger plan.batch_size or plan.patch."
    )
    assert verdict(replace(idle, compiled=True)).endswith(
        "Fix: a larger plan.batch_size or plan.patch."
    )


def test_the_figures_are_in_words():
    assert describe(on_card(profile(read=2, others={1: 290}))) == [
        "302.0 ms a step of 2 on cuda in bf16: 6.62 patches/s, peak memory 1.23 GB",
        "30 GFLOP a step, at 100 GFLOP/s; a matrix product reaches 200",
        "reading a batch takes one process 50.0 ms; enough: train.workers=1",
        "  train.workers=0: 302.0 ms a step, of which 2.0 wait for samples",
        "  train.workers=1: 290.0 ms a step, of which 0.0 wait for samples",
        "the card computes 90% of the time",
    ]


def test_json_has_parts_that_add_up_and_the_verdict():
    made = profile(read=173)
    figures = to_json(made)
    assert sum(figures["parts"].values()) == pytest.approx(figures["seconds"]) == 0.302
    assert figures["parts_by_workers"]["0"] == figures["parts"]
    assert figures["verdict"] == verdict(made)
