"""Run the set of benchmarks and write RESULTS.md: what `make bench` does.

    python bench/results.py [SCRIPT ...] [--data DATA] [--out bench/RESULTS.md]

A benchmark that fails or takes too long is named in the results and does not stop the others; the
exit code is then 1.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from figure import Figure, heard
from machine import cores, describe_machine, describe_versions, load

HERE = Path(__file__).parent
SCRIPTS = (
    *("train_step", "augment", "metrics", "sliding", "data_path"),
    *("sadaan_step", "dformer_step", "vit_gnn_step", "spine_data"),
)
LONGEST = 900.0
"""Seconds that one benchmark may take."""
BUSY = 0.5
"""Load per core above which other programs disturb the figures."""


@dataclass
class Found:
    """What the benchmarks have said."""

    figures: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def run(script: Path, words: list[str], found: Found) -> None:
    """Run one benchmark, show what it prints for people, and keep what it says."""
    print(f"== {script.stem}", flush=True)
    started = time.perf_counter()
    code, lines, error = listen([sys.executable, str(script), *words], longest=LONGEST)
    for item in heard(lines):
        (found.figures if isinstance(item, Figure) else found.remarks).append(item)
    if code:
        reason = (error.strip().splitlines() or [f"exit code {code}"])[-1]
        found.failed.append(f"{script.stem}: {reason}")
        print(f"FAILED {found.failed[-1]}", flush=True)
    print(f"   {time.perf_counter() - started:.0f} s", flush=True)


def listen(command: list[str], *, longest: float) -> tuple[int, list[str], str]:
    """Exit code, lines of stdout and stderr of a command, its lines for people shown as they come.

    After `longest` seconds it is ended, with all processes that it has started.
    """
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as process,
    ):
        late = threading.Event()
        timer = threading.Timer(longest, lambda: (late.set(), _end(process)))
        timer.start()
        lines = []
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip("\n"))
                if not line.startswith("{"):
                    print(line, end="", flush=True)
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            timer.cancel()
        errors.seek(0)
        return code, lines, f"took longer than {longest:g} s" if late.is_set() else errors.read()


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def page(found: Found, *, busy: float) -> str:
    """RESULTS.md."""
    lines = [
        "# Results of `make bench`",
        "",
        f"{datetime.now(UTC):%d %B %Y}. {describe_machine()}.",
        "",
        f"{describe_versions()}.",
        "",
        "The ratio says how many times as fast as the peer delineate is in the same run.",
        "Times drift from run to run and machine to machine; ratios hold better.",
        "",
        *table(found.figures),
    ]
    if busy > BUSY * cores():
        lines += [
            "",
            f"The machine was busy with something else (load {busy:.1f} at the start): measure "
            "again when it is quiet.",
        ]
    if found.remarks:
        lines += ["", *(f"- {remark}" for remark in found.remarks)]
    if found.failed:
        lines += ["", "Not measured:", "", *(f"- {failed}" for failed in found.failed)]
    return "\n".join(lines) + "\n"


def table(figures: list[Figure]) -> list[str]:
    """The figures as Markdown."""
    rows = ["| work | delineate | peer | ratio | bar |", "|---|---|---|---|---|"]
    for figure in figures:
        bar = "-" if figure.bar is None else f"{figure.bar:g}, {_verdict(figure)}"
        theirs = f"{figure.peer}: {figure.theirs:.4g} {figure.unit}"
        ours = f"{figure.ours:.4g} {figure.unit}"
        rows.append(f"| {figure.work} | {ours} | {theirs} | {figure.ratio:.2f} | {bar} |")
    return rows


def _verdict(figure: Figure) -> str:
    return "reached" if figure.met else "missed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=", ".join(SCRIPTS))
    parser.add_argument("--data", type=Path, help="a Decathlon folder for data_path")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    asked = parser.parse_args()
    unknown = set(asked.scripts) - set(SCRIPTS)
    if unknown:
        parser.error(f"unknown {', '.join(sorted(unknown))}; there are {', '.join(SCRIPTS)}")
    found, busy = Found(), load()
    for name in asked.scripts or SCRIPTS:
        words = ["--data", str(asked.data)] if name == "data_path" and asked.data else []
        run(HERE / f"{name}.py", words, found)
    asked.out.write_text(page(found, busy=busy), encoding="utf-8")
    print(f"Written: {asked.out}")
    sys.exit(bool(found.failed))


if __name__ == "__main__":
    main()
