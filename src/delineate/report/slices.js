// What the page holds of a case: masks as packed bytes, and the scan as one picture of tiles.
const inflate = async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
};
const masks = async (text, bytes) => {
  if (!text) return null;
  const buffer = await inflate(text);
  return bytes === 2 ? new Uint16Array(buffer) : new Uint8Array(buffer);
};

// The tiles of the sheet as one colour per voxel, in the order of the masks.
const decode = async (one) => {
  const picture = new Image();
  picture.src = one.sprite;
  await picture.decode();
  const sheet = document.createElement("canvas");
  sheet.width = picture.naturalWidth;
  sheet.height = picture.naturalHeight;
  const context = sheet.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, sheet.width, sheet.height).data.buffer);
  const [rows, columns, number] = one.shape, [high, wide] = one.tile;
  const voxels = new Uint32Array(rows * columns * number);
  for (let k = 0; k < number; k++) {
    const from = Math.floor(k / one.tiles) * high * sheet.width + (k % one.tiles) * wide;
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        voxels[(i * columns + j) * number + k] = pixels[from + i * sheet.width + j];
  }
  return voxels;
};

// Outlines half-way between voxels, as contours.py draws them: the same cells, the same ends.
const T = [0, 1], R = [1, 2], B = [2, 1], L = [1, 0];
const ENDS = [[], [[L, B]], [[B, R]], [[L, R]], [[R, T]], [[L, B], [R, T]], [[B, T]], [[L, T]],
  [[T, L]], [[T, B]], [[T, L], [B, R]], [[T, R]], [[R, L]], [[R, B]], [[B, L]], []];
const outline = (inside, rows, columns) => {
  const at = (row, column) =>
    row >= 0 && column >= 0 && row < rows && column < columns && inside[row * columns + column] ? 1 : 0;
  const wide = 2 * columns + 4, links = new Map();
  for (let r = 0; r <= rows; r++)
    for (let c = 0; c <= columns; c++) {
      const cell = 8 * at(r - 1, c - 1) + 4 * at(r - 1, c) + 2 * at(r, c) + at(r, c - 1);
      for (const [from, to] of ENDS[cell])
        links.set((2 * r + from[0]) * wide + 2 * c + from[1], (2 * r + to[0]) * wide + 2 * c + to[1]);
    }
  let path = "";
  for (const start of links.keys()) {
    const loop = [];
    for (let next = start; links.has(next);) {
      loop.push(`${((next % wide) - 1) / 2} ${(Math.floor(next / wide) - 1) / 2}`);
      const following = links.get(next);
      links.delete(next);
      next = following;
    }
    path += `M${loop.join("L")}Z`;
  }
  return path;
};
