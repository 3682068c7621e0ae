"use strict";
const all = (selector) => [...document.querySelectorAll(selector)];

// Outlines on and off.
for (const box of all("[data-layer]"))
  box.onchange = () => document.body.classList.toggle("no-" + box.dataset.layer, !box.checked);

// One metric at a time.
for (const button of all(".choice button"))
  button.onclick = () => {
    for (const other of all(".choice button")) other.setAttribute("aria-pressed", other === button);
    for (const table of all("table.cases")) table.hidden = table.dataset.metric !== button.dataset.metric;
  };

// Rows whose case holds the text.
const filter = document.getElementById("filter");
if (filter)
  filter.oninput = () => {
    const text = filter.value.trim().toLowerCase();
    for (const row of all("table.cases tbody tr"))
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(text);
  };

// A click on a heading sorts by it, a second one the other way; cells without a figure stay last.
const key = (cell) => (cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v));
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
for (const head of all("table.cases th")) {
  head.tabIndex = 0;
  head.onclick = () => {
    const table = head.closest("table");
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [row, row.cells[head.cellIndex]]);
    const none = (cell) => cell.classList.contains("none");
    rows.sort(([, a], [, b]) => none(a) - none(b) || (up ? 1 : -1) * compare(key(a), key(b)));
    table.tBodies[0].append(...rows.map(([row]) => row));
  };
  head.onkeydown = (event) => { if (event.key === "Enter") head.onclick(); };
}
