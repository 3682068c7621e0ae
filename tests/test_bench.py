"""The benchmarks, at sizes that prove that they run: figures, the page, our sides, the messages."""

import importlib
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch

from delineate.metrics import Row, Table, compare

BENCH = Path(__file__).parents[1] / "bench"
SCRIPTS = ("augment", "crossval", "data_path", "figure", "machine", "results", "metrics", "sides")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    """Imports a script of bench/ as it sees itself; it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(BENCH))
    found = (*SCRIPTS, "train_step")
    for name in found:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in found:
        sys.modules.pop(name, None)


def figure(bench, **more):
    facts = {"work": "w", "peer": "p", "ours": 2.0, "theirs": 6.0, "unit": "s", "bar": 3.0}
    return bench("figure").Figure(**(facts | more))


def called(bench, monkeypatch: pytest.MonkeyPatch, script: str, *words: str) -> ModuleType:
    """The main function of a script with these words."""
    module = bench(script)
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *words])
    module.main()
    return module


def test_a_ratio_says_how_many_times_as_fast_for_seconds_and_for_rates(bench):
    assert figure(bench).ratio == pytest.approx(3)
    assert figure(bench, unit="patches/s").ratio == pytest.approx(1 / 3)
    assert figure(bench).met is True
    assert figure(bench, unit="patches/s").met is False
    assert figure(bench, bar=None).met is None


def test_figures_and_remarks_come_back_from_the_lines_that_they_are_said_in(bench, capsys):
    module, one = bench("figure"), figure(bench)
    module.say(one)
    module.say("a remark")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "w: delineate 2 s, p 6 s: 3.00 times as fast (bar 3)"
    assert list(module.heard([*lines, "anything else"])) == [one, "a remark"]


def test_the_page_has_a_line_per_figure_and_names_what_failed(bench):
    results = bench("results")
    found = results.Found(
        figures=[figure(bench), figure(bench, bar=None), figure(bench, bar=4.0)],
        remarks=["40 % of the card"],
        failed=["augment: no wheel"],
    )
    page = results.page(found, busy=0.0)
    assert "| w | 2 s | p: 6 s | 3.00 | 3, reached |" in page
    assert "| w | 2 s | p: 6 s | 3.00 | - |" in page
    assert "| w | 2 s | p: 6 s | 3.00 | 4, missed |" in page
    assert "- 40 % of the card\n" in page
    assert page.endswith("Not measured:\n\n- augment: no wheel\n")
    assert "busy" not in page
    assert f"torch {torch.__version__}" in page


def test_a_busy_machine_is_noted(bench):
    results = bench("results")
    page = results.page(results.Found(), busy=1000.0)
    assert "busy with something else (load 1000.0 at the start)" in page


def test_one_benchmark_that_fails_does_not_stop_the_others(
    bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    results = bench("results")
    monkeypatch.setattr(results, "HERE", tmp_path)
    monkeypatch.setattr(results, "SCRIPTS", ("bad", "good"))
    line = '{"work": "w", "peer": "p", "ours": 1, "theirs": 2, "unit": "s", "bar": null}'
    (tmp_path / "bad.py").write_text("import sys; print('begun'); sys.exit('no wheel')")
    (tmp_path / "good.py").write_text(f"print('''{line}''')")
    monkeypatch.setattr(sys, "argv", ["results.py", "--out", str(tmp_path / "R.md")])
    with pytest.raises(SystemExit) as end:
        results.main()
    page = (tmp_path / "R.md").read_text()
    assert end.value.code == 1
    assert "| w | 1 s | p: 2 s | 2.00 | - |" in page
    assert "- bad: no wheel" in page
    assert "begun\nFAILED bad: no wheel" in capsys.readouterr().out


def test_a_benchmark_that_takes_too_long_is_ended(bench):
    code, lines, error = bench("results").listen(
        [sys.executable, "-c", "import time; print('x', flush=True); time.sleep(600)"], longest=1.5
    )
    assert code != 0
    assert lines in (["x"], [])
    assert error == "took longer than 1.5 s"


def test_the_processor_is_named_by_itself(bench, tmp_path: Path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU 3000\nflags : fpu\n")
    assert bench("machine").processor(tmp_path / "cpuinfo") == "Some CPU 3000"


def test_our_training_step_learns(bench, monkeypatch: pytest.MonkeyPatch):
    module = bench("train_step")
    monkeypatch.setattr(module, "THREADS", 1)
    done = module.time_side("ours", module.WORKS["tiny"], steps=2, device="cpu")
    assert len(done["seconds"]) == 2
    network, step = module.ours(module.WORKS["tiny"], "cpu")
    assert done["weights"] == sum(p.numel() for p in network.parameters())
    before = [p.clone() for p in network.parameters()]
    step()
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_the_operations_of_a_batch_are_counted(bench):
    """One 1x1 convolution from 1 to 1 channel: a product and a sum a voxel, forward and weights."""
    module = bench("train_step")
    network = torch.nn.Conv3d(1, 1, 1, bias=False)
    work = module.Work(2, (4, 4, 4), (1,))
    found = module.operations(lambda x: [network(x)], work, "cpu")
    assert found == 2 * (2 * 2 * 4**3)


@pytest.mark.parametrize("side", ["ours", "ours_bending"])
def test_our_augmentation_makes_patches(bench, side: str):
    module = bench("augment")
    some = module.SIDES[side](12, "cpu")
    assert some() == some() >= 1


def test_the_better_arrangement_of_two_cores_counts(bench, monkeypatch: pytest.MonkeyPatch):
    module = bench("augment")
    rates = {(1, 2): [5.0], (2, 1): [3.0, 4.0]}

    def run_side(script, words, *, copies, threads):
        return [{"rate": rate} for rate in rates[copies, threads]]

    monkeypatch.setattr(module, "run_side", run_side)
    assert module.rate("ours", 8, "cpu", seconds=1) == 7.0
    assert module.rate("ours", 8, "cuda", seconds=1) == 5.0


def test_a_side_that_fails_ends_the_program_with_its_reason(bench, tmp_path: Path):
    (tmp_path / "side.py").write_text("import sys; sys.exit('out of cheese')")
    with pytest.raises(SystemExit, match=r"out of cheese\n.*side\.py a failed"):
        bench("sides").run_side(str(tmp_path / "side.py"), ["a"])


def test_copies_of_a_side_run_at_once_and_each_says_its_last_line(bench, tmp_path: Path):
    (tmp_path / "side.py").write_text("print('noise'); print('{\"rate\": 2}')")
    found = bench("sides").run_side(str(tmp_path / "side.py"), [], copies=2, threads=1)
    assert found == [{"rate": 2}, {"rate": 2}]


@pytest.mark.skipif(find_spec("nnunetv2") is not None, reason="the peers are installed here")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("train_step", "train_step: nnunetv2 is not installed here. Fix: make bench"),
        ("data_path", "data_path: nnunetv2 is not installed beside"),
    ],
)
def test_without_the_peers_a_benchmark_says_what_to_do(
    bench, monkeypatch: pytest.MonkeyPatch, script: str, message: str
):
    with pytest.raises(SystemExit, match=re.escape(message)):
        called(bench, monkeypatch, script)


@pytest.mark.skipif(find_spec("nnunetv2") is not None, reason="the peers are installed here")
def test_augmentation_leaves_out_the_peers_that_are_absent(bench, monkeypatch, capsys):
    called(bench, monkeypatch, "augment", "--patch", "8")
    said = list(bench("figure").heard(capsys.readouterr().out.splitlines()))
    assert said[0] == (
        "augment: nnunetv2 is not installed here, its line is left out. Fix: make bench"
    )
    assert len(said) == 3


def scores(folder: Path, text: str) -> Path:
    path = folder / "scores.csv"
    path.write_text(text)
    return path


def test_scores_per_case_are_read_by_class_name(bench, tmp_path: Path):
    text = "case,fold,dice_anterior,dice_left_horn\na,1,0.9,0.8\nb,2,,0.5\n"
    table = bench("crossval").read_scores(scores(tmp_path, text), ("Anterior", "Left horn"))
    assert table.labels == ("Anterior", "Left horn")
    assert table.case_means("dice") == pytest.approx({"a": 0.85, "b": 0.5})


def test_scores_without_a_class_or_a_number_are_refused(bench, tmp_path: Path):
    crossval = bench("crossval")
    with pytest.raises(SystemExit, match=r"scores\.csv: no column dice_b; there are case, dice_a"):
        crossval.read_scores(scores(tmp_path, "case,dice_a\nx,1\n"), ("A", "B"))
    with pytest.raises(SystemExit, match=r"scores\.csv:2: dice_a is 'good', no number"):
        crossval.read_scores(scores(tmp_path, "case,dice_a\nx,good\n"), ("A",))


def test_scores_that_are_not_there_end_the_program_before_any_training(
    bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit):
        called(bench, monkeypatch, "crossval", str(tmp_path), "--against", "none.csv")
    assert "--against: no file none.csv" in capsys.readouterr().err


def test_a_cross_validation_is_summed_up_beside_the_other_scores(bench, tmp_path: Path):
    crossval = bench("crossval")
    rows = (("a", 0.9), ("b", 0.7), ("c", 0.8))
    table = Table(tuple(Row(case=c, label="Anterior", values={"dice": d}) for c, d in rows))
    path = scores(tmp_path, "case,dice_anterior\na,0.8\nb,0.7\n")
    against = crossval.read_scores(path, table.labels)
    said = crossval.summary(table, against).splitlines()
    assert said[0].startswith("mean Dice 0.8000 [")
    assert said[0].endswith("over 3 cases: Anterior 0.8000")
    assert said[1] == f"against the other, case by case: {compare(table, against)}"
    assert "difference +0.0500" in said[1]
    assert crossval.summary(table, None).count("\n") == 0


@pytest.mark.skipif(find_spec("monai") is not None, reason="the peers are installed here")
def test_our_figures_are_taken_and_absent_peers_are_named(bench, monkeypatch, capsys):
    called(bench, monkeypatch, "metrics", "--size", "20", "24", "16", "--runs", "1")
    said = list(bench("figure").heard(capsys.readouterr().out.splitlines()))
    assert [line.split()[1] for line in said] == ["surface_distance", "monai"]


def test_every_class_of_the_drawn_masks_is_measured(bench):
    module = bench("metrics")
    truth = module.blobs((20, 24, 16))
    for surface in ("voxels", "elements"):
        assert len(module.ours(surface)(truth, truth)) == module.CLASSES
