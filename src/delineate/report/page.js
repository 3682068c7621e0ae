"use strict";
const all = (selector) => [...document.querySelectorAll(selector)];

// Outlines and errors on and off, in the pictures and in the viewer alike.
for (const box of all("[data-layer]"))
  box.onchange = () => {
    document.body.classList.toggle("no-" + box.dataset.layer, !box.checked);
    for (const other of all(`[data-layer="${box.dataset.layer}"]`)) other.checked = box.checked;
  };

// A figure for reading, as metric_names.py writes it.
const text = (value, signed) => {
  const size = Math.abs(value);
  const digits = size < 10 ? value.toFixed(4) : size < 1000 ? String(Number(value.toPrecision(4))) : value.toFixed(0);
  return signed && value > 0 ? "+" + digits : digits;
};
const fill = (cell, value, signed) => {
  const figure = typeof value === "number";
  cell.className = figure ? "figure" : value === null ? "figure none" : "";
  if (figure) cell.dataset.v = value;
  else delete cell.dataset.v;
  cell.textContent = figure ? text(value, signed) : value === null ? "\u2013" : value;
};

// One metric at a time: charts of their own, and tables whose figures are exchanged.
const tables = all("table.cases").map((table) => {
  const data = JSON.parse(document.getElementById(table.dataset.figures).textContent);
  const signed = [...table.tHead.rows[0].cells].slice(1).map((head) => "signed" in head.dataset);
  const rows = [...table.tBodies[0].rows];
  return { table, data, signed, rows };
});
const show = (metric) => {
  for (const button of all("[data-metric]")) button.setAttribute("aria-pressed", button.dataset.metric === metric);
  for (const panel of all("[data-panel]")) panel.hidden = panel.dataset.panel !== metric;
  for (const { table, data, signed, rows } of tables) {
    const write = (row, values) => values.forEach((value, i) => fill(row.cells[i + 1], value, signed[i]));
    rows.forEach((row, i) => write(row, data[metric].rows[i]));
    write(table.tFoot.rows[0], data[metric].foot);
    sort(table);
  }
};
for (const button of all("[data-metric]")) button.onclick = () => show(button.dataset.metric);

// Rows whose case holds the text, or whose first figure lies below or above a number.
const filter = document.getElementById("filter");
if (filter)
  filter.oninput = () => {
    const wanted = filter.value.trim().toLowerCase();
    const limit = wanted.match(/^([<>])\s*(-?[\d.]+)$/);
    const fits = (row) => {
      if (!limit) return row.cells[0].textContent.toLowerCase().includes(wanted);
      const value = row.cells[1].dataset.v;
      return value !== undefined && (limit[1] === "<" ? Number(value) < Number(limit[2]) : Number(value) > Number(limit[2]));
    };
    for (const { rows } of tables) {
      for (const row of rows) row.hidden = !fits(row);
      const left = rows.filter((row) => !row.hidden).length;
      document.getElementById("found").textContent = wanted ? `${left} of ${rows.length}` : "";
    }
  };

// A click on a heading sorts by it, a second one the other way; cells without a figure stay last.
const key = (cell) => (cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v));
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
const sort = (table) => {
  const head = table.querySelector("th[aria-sort]");
  if (!head) return;
  const up = head.getAttribute("aria-sort") === "ascending";
  const rows = [...table.tBodies[0].rows].map((row) => [row, row.cells[head.cellIndex]]);
  const none = (cell) => cell.classList.contains("none");
  rows.sort(([, a], [, b]) => none(a) - none(b) || (up ? 1 : -1) * compare(key(a), key(b)));
  table.tBodies[0].append(...rows.map(([row]) => row));
};
for (const button of all("table.cases thead button"))
  button.onclick = () => {
    const head = button.closest("th"), table = head.closest("table");
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    sort(table);
  };

// Paper shows what a screen folds away.
let folded = [];
addEventListener("beforeprint", () => {
  folded = all("details:not([open]):not(.long)");
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => folded.forEach((part) => (part.open = false)));
