"""Check, plan and preprocess one data set with us and with nnU-Net, whole processes, in turn.

    python bench/data_path.py [--data DATA] [--peer PYTHON] [--runs N]

DATA is a Decathlon folder; without one, phantoms of the size of a hippocampus are drawn. PYTHON is
the interpreter of an environment with nnunetv2, by default this one. The medians are compared.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figure import Figure, say

DRAWN, SHAPE = 208, (36, 50, 36)
BAR = 3.0


def phantoms(folder: Path) -> Path:
    """A Decathlon data set like the hippocampus: as many scans, as large."""
    from delineate.datasets import synthesise

    return synthesise("heart", folder, cases=DRAWN, shape=SHAPE, layout="msd")


def to_nnunet_raw(data: Path, raw: Path) -> int:
    """The same files under the names that nnU-Net wants, and how many cases they are."""
    facts = json.loads((data / "dataset.json").read_text())
    home = raw / "Dataset004_Bench"
    (home / "imagesTr").mkdir(parents=True)
    (home / "labelsTr").mkdir()
    for pair in facts["training"]:
        name = Path(pair["image"]).name.removesuffix(".nii.gz")
        shutil.copy(data / pair["image"], home / "imagesTr" / f"{name}_0000.nii.gz")
        shutil.copy(data / pair["label"], home / "labelsTr" / f"{name}.nii.gz")
    labels = {name: int(i) for i, name in facts["labels"].items()}
    described = {
        "channel_names": facts["modality"],
        "labels": labels,
        "numTraining": len(facts["training"]),
        "file_ending": ".nii.gz",
    }
    (home / "dataset.json").write_text(json.dumps(described))
    return len(facts["training"])


def seconds(commands: list[list[str]], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    for command in commands:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - started


def ours(data: Path, folder: Path) -> float:
    delineate = str(Path(sys.executable).with_name("delineate"))
    plan, cache = str(folder / "plan.json"), str(folder / "cache")
    return seconds(
        [
            [delineate, "doctor", str(data)],
            [delineate, "plan", str(data), "-o", plan],
            [delineate, "prepare", str(data), "--plan", plan, "--cache", cache],
        ],
        dict(os.environ),
    )


def nnunet(peer: Path, raw: Path, folder: Path) -> float:
    environment = dict(os.environ) | {
        "nnUNet_raw": str(raw),
        "nnUNet_preprocessed": str(folder / "preprocessed"),
        "nnUNet_results": str(folder / "results"),
    }
    command = [str(peer.with_name("nnUNetv2_plan_and_preprocess")), "-d", "4", "-c", "3d_fullres"]
    return seconds(
        [[*command, "--verify_dataset_integrity", "-np", "2", "-npfp", "2"]], environment
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peer", type=Path, default=Path(sys.executable))
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    if not asked.peer.with_name("nnUNetv2_plan_and_preprocess").exists():
        sys.exit(f"data_path: nnunetv2 is not installed beside {asked.peer}. Fix: make bench")
    with tempfile.TemporaryDirectory() as temporary:
        data = asked.data or phantoms(Path(temporary) / "drawn")
        raw = Path(temporary) / "raw"
        number = to_nnunet_raw(data, raw)
        us, peer = [], []
        for run in range(asked.runs):
            us.append(ours(data, Path(temporary) / f"ours{run}"))
            peer.append(nnunet(asked.peer, raw, Path(temporary) / f"nnunet{run}"))
            print(f"run {run}: delineate {us[-1]:.2f} s, nnU-Net {peer[-1]:.2f} s", flush=True)
    say(
        Figure(
            work=f"doctor + plan + prepare of {number} {'scans' if asked.data else 'phantoms'}",
            peer="nnU-Net",
            ours=statistics.median(us),
            theirs=statistics.median(peer),
            unit="s",
            bar=BAR,
        )
    )


if __name__ == "__main__":
    main()
