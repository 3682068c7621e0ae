"""The documented set of synthetic trunks: files, splits by scenario, command line."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from delineate.datasets.phantom_structures import SCENARIOS, Variation, draw_structures
from delineate.errors import DataError
from delineate.systems.sadaan.synthetic import DEFAULTS, generate, main, stratified

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def small(out: Path, **wishes: Any) -> dict[str, int]:
    return generate(out, **({"samples": 10, "shape": (16, 16, 16), "shares": SHARES} | wishes))


def test_files_are_as_documented(tmp_path: Path) -> None:
    assert small(tmp_path / "s") == {"train": 7, "val": 2, "test": 1}
    with h5py.File(tmp_path / "s" / "train.h5", "r", locking=False) as file:
        facts = {
            name: (file[name].shape, str(file[name].dtype))
            for name in ("images", "masks", "presence_labels")
        }
        assert facts == {
            "images": ((7, 16, 16, 16), "float32"),
            "masks": ((7, 13, 16, 16, 16), "bool"),
            "presence_labels": ((7, 13), "int64"),
        }
        for name in ("images", "masks"):
            assert file[name].chunks == (1, *file[name].shape[1:])
            assert (file[name].compression, file[name].compression_opts) == ("gzip", 6)
        text = h5py.check_string_dtype(file["scenarios"].dtype)
        assert (text.encoding, text.length) == ("utf-8", None)
        assert file.attrs["n_samples"] == 7
        assert tuple(file.attrs["image_shape"]) == (16, 16, 16)
        assert file.attrs["n_structures"] == 13
        assert file["images"][:].min() >= 0
        assert file["images"][:].max() <= 255
    said = json.loads((tmp_path / "s" / "metadata.json").read_text())
    assert said["image_size"] == [16, 16, 16]
    assert (said["num_structures"], len(said["structure_names"])) == (13, 13)
    assert isinstance(said["dataset_info"], str)
    noise = {"position_noise": 0.05, "size_noise": 0.2, "intensity_noise": 0.15}
    assert said["generation_params"] == noise
    assert [entry["name"] for entry in said["scenarios"]] == list(SCENARIOS)
    entry = next(entry for entry in said["scenarios"] if entry["name"] == "splenectomy")
    assert entry["weight"] == 0.08
    assert set(said["structure_names"]) - set(entry["present"]) == {"spleen"}


def test_a_sample_depends_on_seed_and_place_alone(tmp_path: Path) -> None:
    small(tmp_path / "s", samples=2, shares={"train": 1.0}, seed=5)
    drawing = draw_structures(np.random.default_rng((5, 1)), (16, 16, 16), variation=DEFAULTS)
    with h5py.File(tmp_path / "s" / "train.h5", "r", locking=False) as file:
        np.testing.assert_array_equal(file["images"][1], drawing.image[0])
        np.testing.assert_array_equal(file["masks"][1], drawing.mask)
        assert file["scenarios"].asstr()[1] == drawing.scenario


def test_splits_have_their_shares_of_every_scenario() -> None:
    splits = stratified(1000, SHARES, 42)
    assert Counter(splits) == {"train": 700, "val": 200, "test": 100}
    from delineate.datasets.phantom_structures import draw_scenario

    drawn = [draw_scenario(np.random.default_rng((42, i))) for i in range(1000)]
    number = Counter(drawn)
    for (scenario, split), count in Counter(zip(drawn, splits, strict=True)).items():
        assert abs(count - SHARES[split] * number[scenario]) < 2


def test_noise_is_two_deviations_and_is_said_back() -> None:
    noise = {"position_noise": 0.05, "size_noise": 0.2, "intensity_noise": 0.15}
    assert DEFAULTS.to_json() == noise
    assert DEFAULTS.size == 0.1
    still = Variation(position_mm=0, size=0, intensity=0)
    first, second = (
        draw_structures(np.random.default_rng((0, i)), (24, 24, 24), variation=v).mask[3].sum()
        for i, v in ((0, still), (0, DEFAULTS))
    )
    assert first != second


@pytest.mark.slow
def test_the_command_takes_the_documented_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--image-size", "16,16,16", "--total-samples", "4", "--validation-split", "0.25"]
    words += ["--test-split", "0.25", "--seed", "1", "--position-noise", "0.1", "-v"]
    words += ["--output-dir", str(tmp_path / "s"), "--size-noise", "0.1"]
    main([*words, "--intensity-noise", "0"])
    said = capsys.readouterr().out
    assert all(f"{n} in {split}.h5" in said for n, split in ((2, "train"), (1, "val"), (1, "test")))
    assert "'masks': (13, 16, 16, 16)" in said
    counts = [line.split() for line in said.splitlines() if line.startswith(" ")]
    assert sum(int(number) for number, _ in counts) == 4
    assert len(list((tmp_path / "s" / "visualizations").glob("*.png"))) == 2
    before = (tmp_path / "s" / "train.h5").stat().st_mtime_ns
    main([*words, "--skip-generation", "--skip-visualization", "--skip-training-test"])
    assert (tmp_path / "s" / "train.h5").stat().st_mtime_ns == before
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "already holds something" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"samples": 0}, r"0 samples of 16x16x16 cannot be drawn"),
        ({"shape": (16, 8, 16)}, r"cannot be drawn\. Fix: ask for 1 or more of three sizes of 16"),
        ({"shares": {"train": -0.1, "val": 1.0, "test": 0.1}}, r"Fix: give a validation and a te"),
    ],
)
def test_what_cannot_be_made_is_refused(
    tmp_path: Path, wishes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        small(tmp_path / "s", **wishes)
    assert list(tmp_path.iterdir()) == []
