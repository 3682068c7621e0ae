// The slices of a case along any plane, with outlines and errors, and what a person does with them.
(() => {
  const place = document.getElementById("slices-data");
  const root = document.getElementById("viewer");
  if (!place || !root) return;
  const data = JSON.parse(place.textContent);
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const canvas = part("scan"), drawing = part("drawing"), slider = part("slider"), stage = part("stage");
  const state = { case: 0, plane: 0, run: 0, structure: 0, place: 0 };
  const loaded = new Map();
  let current = null;

  const load = async (number) => {
    if (!loaded.has(number)) {
      const one = data.cases[number];
      const [voxels, truth, ...predictions] = await Promise.all([
        decode(one), masks(one.truth, one.bytes),
        ...data.runs.map((run) => masks(one.predictions[run], one.bytes)),
      ]);
      loaded.set(number, { voxels, truth, predictions, size: one.shape[0] * one.shape[1] * one.shape[2] });
    }
    return loaded.get(number);
  };

  // Classes at a voxel, as numbers from 1; a voxel without a verdict has none and is no error.
  const { overlapping, names, colours } = data.labels;
  const has = (mask, size, at, number) =>
    overlapping ? (mask[((number - 1) >> 3) * size + at] >> ((number - 1) & 7)) & 1 : mask[at] === number;
  const classes = (mask, size, at) => {
    if (!overlapping) return mask[at] > 0 && mask[at] <= names.length ? [mask[at]] : [];
    return names.map((_, i) => i + 1).filter((number) => has(mask, size, at, number));
  };
  const any = (mask, size, at) => {
    if (!overlapping) return mask[at] > 0 && mask[at] <= names.length;
    for (let group = at; group < mask.length; group += size) if (mask[group]) return true;
    return false;
  };
  const chosen = () => (state.structure ? [state.structure] : names.map((_, i) => i + 1));

  // 0 right, 1 missed, 2 extra, 3 of a wrong class: for all structures, or for the chosen one.
  const wrong = (truth, prediction, size, at) => {
    if (state.structure) {
      if (!overlapping && truth[at] > names.length) return 0;
      const a = has(truth, size, at, state.structure), b = has(prediction, size, at, state.structure);
      return a && !b ? 1 : b && !a ? 2 : 0;
    }
    if (!overlapping) {
      const a = truth[at], b = prediction[at];
      return a === b || a > names.length ? 0 : b === 0 ? 1 : a === 0 ? 2 : 3;
    }
    let kind = 0;
    for (let group = at; group < truth.length; group += size) {
      if (truth[group] & ~prediction[group]) kind |= 1;
      if (prediction[group] & ~truth[group]) kind |= 2;
    }
    return kind;
  };

  const where = (plane, row, column, slice) =>
    plane.start + row * plane.row + column * plane.column + slice * plane.slice;
  const gather = (plane, slice, look) => {
    const found = new Uint16Array(plane.rows * plane.columns);
    for (let row = 0, i = 0; row < plane.rows; row++)
      for (let column = 0; column < plane.columns; column++, i++)
        found[i] = look(where(plane, row, column, slice));
    return found;
  };

  const element = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "title")).textContent = text;
    return made;
  };
  const layer = (kind, mask, plane) => {
    const group = element("g", { class: kind });
    if (!mask) return group;
    // Hundreds of classes: only those in the slice have an outline.
    const present = overlapping ? null : new Set(gather(plane, state.place, (at) => mask[at]));
    for (const number of chosen()) {
      if (present && !present.has(number)) continue;
      const inside = gather(plane, state.place, (at) => has(mask, current.size, at, number));
      if (!inside.includes(1)) continue;
      const path = element("path", { d: outline(inside, plane.rows, plane.columns) }, names[number - 1]);
      path.style.setProperty("--c", colours[number - 1]);
      group.append(path);
    }
    return group;
  };

  const drawScan = (plane) => {
    canvas.width = plane.columns;
    canvas.height = plane.rows;
    const context = canvas.getContext("2d");
    const shown = context.createImageData(plane.columns, plane.rows);
    const pixels = new Uint32Array(shown.data.buffer);
    for (let row = 0, i = 0; row < plane.rows; row++)
      for (let column = 0; column < plane.columns; column++, i++)
        pixels[i] = current.voxels[where(plane, row, column, state.place)];
    context.putImageData(shown, 0, 0);
  };
  const drawErrors = (truth, prediction, plane) => {
    const group = element("g", { class: "errors" }), counts = [0, 0, 0, 0];
    if (!truth || !prediction) return [group, null];
    const kinds = gather(plane, state.place, (at) => wrong(truth, prediction, current.size, at));
    for (const kind of kinds) counts[kind]++;
    ["", "missed", "extra", "wrong"].forEach((name, kind) => {
      if (kind && counts[kind])
        group.append(element("path", { class: name, d: outline(kinds.map((k) => k === kind), plane.rows, plane.columns) }));
    });
    return [group, counts];
  };

  // How much there is of the structures in each slice, and how much of it is wrong.
  const drawProfile = (truth, prediction, plane) => {
    const profile = part("profile"), mask = truth || prediction;
    profile.replaceChildren();
    if (!mask || plane.slices < 2) return;
    const all = [], bad = [];
    for (let slice = 0; slice < plane.slices; slice++) {
      let inside = 0, off = 0;
      for (let row = 0; row < plane.rows; row++)
        for (let column = 0; column < plane.columns; column++) {
          const at = where(plane, row, column, slice);
          const error = truth && prediction ? wrong(truth, prediction, current.size, at) : 0;
          if (error) off++;
          if (error || (state.structure ? has(mask, current.size, at, state.structure) : any(mask, current.size, at))) inside++;
        }
      all.push(inside);
      bad.push(off);
    }
    const top = Math.max(1, ...all), step = 1000 / plane.slices;
    const area = (values) =>
      `M0 40${values.map((v, i) => `L${i * step} ${40 - (38 * v) / top}H${(i + 1) * step}`).join("")}L1000 40Z`;
    profile.append(element("path", { class: "all", d: area(all) }), element("path", { class: "bad", d: area(bad) }));
  };

  const masksNow = () => [current.truth, current.predictions[state.run] || null];
  const draw = () => {
    const one = data.cases[state.case], plane = one.planes[state.plane];
    const [truth, prediction] = masksNow();
    drawScan(plane);
    const [errors, counts] = drawErrors(truth, prediction, plane);
    drawing.setAttribute("viewBox", `0 0 ${plane.columns} ${plane.rows}`);
    drawing.replaceChildren(errors, layer("truth", truth, plane), layer("prediction", prediction, plane));
    slider.value = state.place;
    const number = plane.slices > 1 ? `${state.place + 1} / ${plane.slices}` : "";
    part("number").textContent = number;
    const [, missed, extra, mixed] = counts || [];
    const told = !counts ? "" : missed + extra + mixed === 0 ? "no error in this slice"
      : `${missed} ${plane.name ? "voxels" : "pixels"} missed, ${extra} extra${names.length > 1 && !state.structure ? `, ${mixed} of a wrong class` : ""}`;
    part("told").textContent = told;
    const spoken = [one.id, plane.name && `${plane.name} slice ${number}`, told].filter(Boolean).join(", ");
    slider.setAttribute("aria-valuetext", spoken);
    stage.setAttribute("aria-label", spoken);
    stage.setAttribute("aria-valuenow", state.place + 1);
    stage.setAttribute("aria-valuemax", plane.slices);
  };

  const shape = (keep) => {
    const one = data.cases[state.case];
    state.plane = Math.min(state.plane, one.planes.length - 1);
    const plane = one.planes[state.plane];
    if (!keep) state.place = plane.place;
    slider.max = plane.slices - 1;
    part("slide").hidden = part("keys").hidden = plane.slices < 2;
    stage.style.setProperty("--wide", plane.wide);
    part("note").textContent = one.note;
    stage.querySelectorAll("[data-edge]").forEach((edge, i) => (edge.textContent = plane.letters[i] || ""));
    drawProfile(...masksNow(), plane);
    for (const button of root.querySelectorAll("[data-set]"))
      button.setAttribute("aria-pressed", String(state[button.dataset.set]) === button.dataset.to);
    draw();
  };
  let wanted = 0;
  const set = async (key, value) => {
    if (key === "case") {
      wanted = value;
      const found = await load(value);
      if (wanted !== value) return;
      current = found;
    }
    state[key] = value;
    shape(key === "run" || key === "structure");
    root.dataset.ready = "true";
  };
  const go = (place) => {
    const plane = data.cases[state.case].planes[state.plane];
    const before = state.place;
    state.place = Math.max(0, Math.min(plane.slices - 1, place));
    if (current && state.place !== before) draw();
    return state.place !== before;
  };

  for (const button of root.querySelectorAll("[data-set]"))
    button.onclick = () => set(button.dataset.set, Number(button.dataset.to));
  for (const choice of root.querySelectorAll("select"))
    choice.onchange = () => set(choice.dataset.choose, Number(choice.value));
  slider.oninput = () => go(Number(slider.value));
  // At either end the wheel scrolls the page again.
  let turned = 0;
  stage.addEventListener("wheel", (event) => {
    if (event.ctrlKey || !event.deltaY) return;
    const plane = data.cases[state.case].planes[state.plane];
    const up = event.deltaY > 0;
    if (state.place === (up ? plane.slices - 1 : 0)) return;
    event.preventDefault();
    // A touchpad sends many small turns, a wheel few large ones, in pixels or in lines.
    turned = turned > 0 === up ? turned + event.deltaY : event.deltaY;
    if (Math.abs(turned) < (event.deltaMode ? 1 : 40)) return;
    turned = 0;
    go(state.place + (up ? 1 : -1));
  }, { passive: false });
  const KEYS = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5, Home: -1e6, End: 1e6 };
  const LETTERS = { t: "truth", p: "prediction", e: "errors" };
  stage.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in KEYS) { event.preventDefault(); go(state.place + KEYS[event.key]); }
    else if (event.key in LETTERS) root.querySelector(`[data-layer="${LETTERS[event.key]}"]`)?.click();
  };
  // What is under the pointer.
  stage.onpointermove = (event) => {
    if (!current) return;
    const plane = data.cases[state.case].planes[state.plane], box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * plane.columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * plane.rows);
    if (column < 0 || row < 0 || column >= plane.columns || row >= plane.rows) return;
    const at = where(plane, row, column, state.place);
    const named = (mask) => classes(mask, current.size, at).map((number) => names[number - 1]).join(", ") || "background";
    const [truth, prediction] = masksNow();
    part("under").textContent = [truth && `truth ${named(truth)}`, prediction && `prediction ${named(prediction)}`].filter(Boolean).join(" \u00b7 ");
  };
  stage.onpointerleave = () => (part("under").textContent = "");

  root.hidden = false;
  const failed = () => { root.hidden = true; document.getElementById("viewer-failed").hidden = false; };
  set("case", 0).catch(failed);
})();
