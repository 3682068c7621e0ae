"""The pages in a real browser: no error on its console, and what a person does has its effect."""

import json
import re
import shutil
import subprocess
from html import unescape

import nibabel
import numpy as np
import pytest

from delineate.report import write_comparison, write_report
from delineate.report.contours import contour

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr", "--window-size=1400,2100",
    "--virtual-time-budget=240000", "--dump-dom",
)  # fmt: skip

ACT = """
<script>
(async () => {
  const told = {};
  const wait = async (until) => {
    for (let i = 0; i < 100000 && !until(); i++) await new Promise((done) => setTimeout(done, 2));
    if (!until()) throw Error("never came: " + until);
  };
  const one = (selector) => document.querySelector(selector);
  const many = (selector) => [...document.querySelectorAll(selector)];
  const rows = (cell) => many("table.cases tbody tr").filter((row) => !row.hidden)
    .map((row) => row.cells[cell].textContent);
  const press = (key) =>
    one(".stage").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const visible = (element) => element.getClientRects().length > 0;
  try {
    //ACTIONS//
  } catch (error) { told.failed = String(error && error.stack || error); }
  parent.postMessage(JSON.stringify(told), "*");
})();
</script></body>"""

# A browser without a screen has no window narrower than 500 pixels, but a frame may be.
FRAME = """<!doctype html><iframe src="opened.html" width="WIDTH" height="2000"></iframe><script>
addEventListener("message", (event) => {
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = event.data;
  document.body.append(told);
});
</script>"""


@pytest.fixture
def act(tmp_path):
    """Open a page, run a script in it, and give what it told; a console error fails the test."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)}")

    def run(page, actions, *, width=1280):
        copy = tmp_path / "opened.html"
        html = page.read_text("utf-8")
        copy.write_text(html.replace("</body>", ACT.replace("//ACTIONS//", actions)), "utf-8")
        frame = tmp_path / "frame.html"
        frame.write_text(FRAME.replace("WIDTH", str(width)), "utf-8")
        command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", frame.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        assert not said, "\n".join(said)
        found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
        assert found, done.stderr[-2000:]
        told = json.loads(unescape(found[1]))
        assert "failed" not in told, told["failed"]
        return told

    return run


def load(run, place, case):
    return np.asarray(nibabel.load(run.parents[1] / place / f"{case}.nii.gz").dataobj)


def test_tables_sort_filter_and_change_their_metric(act, finished):
    told = act(
        write_report(finished),
        """
    told.before = rows(0);
    const [, mean] = many("table.cases thead button");
    mean.click();
    told.up = rows(0);
    mean.click();
    told.down = rows(0);
    told.sorted = mean.closest("th").getAttribute("aria-sort");
    one('[data-metric="iou"]').click();
    told.iou = rows(1);
    told.still = rows(0);
    told.charts = many("[data-panel]").filter(visible).map((p) => p.dataset.panel);
    const type = (text) => { one("#filter").value = text; one("#filter").oninput(); };
    type("case_2");
    told.named = rows(0);
    type("< 0.5");
    told.low = rows(0);
    told.found = one("#found").textContent;
    """,
    )
    assert told["before"] == ["case_1", "case_2", "case_3"]
    assert told["up"] == ["case_3", "case_2", "case_1"]
    assert told["down"] == told["still"] == ["case_1", "case_2", "case_3"]
    assert told["sorted"] == "descending"
    assert told["iou"][0] == "1.0000"
    assert told["charts"] == ["iou"]
    assert told["named"] == ["case_2"]
    assert told["low"] == ["case_3"]
    assert told["found"] == "1 of 3"


def test_slices_are_scrolled_by_wheel_slider_and_keys_in_every_plane(act, finished):
    told = act(
        write_report(finished),
        """
    await wait(() => one("#viewer").dataset.ready);
    const number = () => one('[data-part="number"]').textContent;
    const wheel = (deltaY) => {
      const turn = new WheelEvent("wheel", { deltaY, bubbles: true, cancelable: true });
      one(".stage").dispatchEvent(turn);
      return turn.defaultPrevented;
    };
    told.first = number();
    told.kept = wheel(120);
    told.wheel = number();
    wheel(-120);
    wheel(-120);
    told.back = number();
    const slider = one('[data-part="slider"]');
    slider.value = 2;
    slider.oninput();
    told.slider = number();
    press("ArrowUp"); told.up = number();
    press("End"); told.end = number();
    told.released = wheel(120);
    press("Home"); told.home = number();
    const planes = many('[data-set="plane"]');
    told.planes = [];
    for (const plane of planes) {
      plane.click();
      await wait(() => plane.getAttribute("aria-pressed") === "true");
      const canvas = one('[data-part="scan"]');
      told.planes.push([plane.textContent, number(), canvas.width, canvas.height]);
    }
    told.spoken = one(".stage").getAttribute("aria-label");
    const painted = one('[data-part="scan"]');
    const pixels = painted.getContext("2d").getImageData(0, 0, painted.width, painted.height).data;
    told.brightest = Math.max(...pixels.filter((_, i) => i % 4 === 0));
    """,
    )
    truth = load(finished, "data", "case_1") > 0
    fullest = [1 + int(truth.sum(axis=tuple({0, 1, 2} - {axis})).argmax()) for axis in range(3)]
    assert told["first"] == f"{fullest[2]} / 18" == "10 / 18"
    assert (told["wheel"], told["kept"]) == ("11 / 18", True)
    assert told["back"] == "9 / 18"
    assert told["slider"] == "3 / 18"
    assert told["up"] == "4 / 18"
    assert (told["end"], told["released"]) == ("18 / 18", False)
    assert told["home"] == "1 / 18"
    assert told["planes"] == [
        ["axial", f"{fullest[2]} / 18", 24, 30],
        ["coronal", f"{fullest[1]} / 30", 24, 18],
        ["sagittal", f"{fullest[0]} / 24", 30, 18],
    ]
    assert told["spoken"].startswith(f"case_1, sagittal slice {fullest[0]} / 24")
    assert told["brightest"] > 200


def test_layers_are_switched_everywhere_and_errors_are_those_of_the_masks(act, finished):
    told = act(
        write_report(finished),
        """
    await wait(() => one("#viewer").dataset.ready);
    const paths = (kind) => many(`[data-part="drawing"] g.${kind} path`);
    told.best = [paths("truth").length, paths("prediction").length, paths("missed").length];
    one('[data-set="case"][data-to="2"]').click();
    await wait(() => one(".stage").getAttribute("aria-label").startsWith("case_3"));
    told.told = one('[data-part="told"]').textContent;
    const shown = (kind) => many(`g.${kind}`).filter(visible).length;
    told.all = shown("errors") > 0;
    press("e");
    told.none = shown("errors");
    told.boxes = many('[data-layer="errors"]').map((box) => box.checked);
    one('.keys [data-layer="truth"]').click();
    told.truth = shown("truth");
    const menu = one('[data-choose="structure"]');
    menu.value = "1";
    menu.onchange();
    await wait(() => paths("truth").length === 1);
    told.one = paths("truth").map((path) => path.textContent);
    """,
    )
    truth, found = (
        load(finished, place, "case_3")[:, :, 9] for place in ("data", "runs/my <run>/validation")
    )
    missed = int(((truth > 0) & (found == 0)).sum())
    mixed = int(((truth > 0) & (found > 0) & (truth != found)).sum())
    assert told["best"] == [2, 2, 0]
    assert told["told"] == f"{missed} voxels missed, 0 extra, {mixed} of a wrong class"
    assert told["all"]
    assert told["none"] == 0
    assert told["boxes"] == [False, False]
    assert told["truth"] == 0
    assert told["one"] == ["left <core>"]


def test_two_runs_are_compared_without_an_error(act, finished, rival, tmp_path):
    told = act(
        write_comparison([finished, rival], tmp_path / "both.html"),
        """
    await wait(() => one("#viewer").dataset.ready);
    const before = one('[data-part="told"]').textContent;
    const menu = one('[data-choose="run"]');
    told.runs = [...menu.options].map((option) => option.textContent);
    menu.value = "1";
    menu.onchange();
    await wait(() => one('[data-part="told"]').textContent !== before);
    one('[data-metric="iou"]').click();
    told.panels = many("[data-panel]").filter(visible).map((p) => p.dataset.panel);
    told.signs = rows(3).map((text) => text[0]);
    """,
    )
    assert told["runs"] == ["my <run>", "rival & co"]
    assert told["panels"] == ["iou"]
    assert set(told["signs"]) == {"+", "-"}


def test_the_page_asks_the_network_for_nothing_and_fits_a_phone(act, finished):
    told = act(
        write_report(finished),
        """
    told.asked = performance.getEntriesByType("resource").map((entry) => entry.name)
      .filter((name) => !name.startsWith("data:"));
    told.window = innerWidth;
    told.wide = many("main > *, main section > *")
      .filter((part) => part.getBoundingClientRect().right > innerWidth + 1)
      .map((part) => part.className);
    """,
        width=390,
    )
    assert told == {"asked": [], "window": 390, "wide": []}


def test_outlines_of_the_script_are_those_of_python(act, finished, tmp_path):
    mask = np.random.default_rng(3).random((14, 17)) > 0.5
    page = write_report(finished)
    told = act(
        page,
        f"""
    const inside = {json.dumps(mask.astype(int).ravel().tolist())};
    told.path = outline(inside, 14, 17);
    """,
    )

    def places(path):
        """Corners of each loop, wherever it begins; without those on a straight line."""
        return {frozenset(re.findall(r"[\d.]+ [\d.]+", loop)) for loop in path.split("Z")}

    fine = places(told["path"])
    for loop in places(contour(mask)):
        assert any(loop <= other for other in fine), loop
