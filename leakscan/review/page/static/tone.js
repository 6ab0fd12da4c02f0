// From 16-bit grey levels to what the eye sees: one table for a window, applied to all pixels.
const TOP = 65535;

export class Window {
  constructor() {
    this.shift = 0; // of the level, in widths of the picture's own window
    this.width = 1; // times the picture's own window
  }

  drag(dx, dy) {
    this.width = Math.min(8, Math.max(0.02, this.width * Math.exp(dx * 0.006)));
    this.shift = Math.min(2, Math.max(-2, this.shift + dy * 0.003 * this.width));
  }

  reset() {
    this.shift = 0;
    this.width = 1;
  }

  ends([low, high]) {
    const own = Math.max(high - low, 1);
    const middle = (low + high) / 2 + this.shift * own;
    const half = (own * this.width) / 2;
    return [middle - half, middle + half];
  }
}

const TINTS = {
  grey: (v) => [v, v, v],
  left: (v) => [v, v / 2, 0], // together with the right one grey again where both agree
  right: (v) => [0, v / 2, v],
};

const table = new Uint32Array(TOP + 1);
const little = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function fill([low, high], negative, tint) {
  const paint = TINTS[tint];
  const scale = 255 / Math.max(high - low, 1e-6);
  const entry = new Uint32Array(256);
  for (let v = 0; v < 256; v++) {
    const [r, g, b] = paint(v).map(Math.round);
    entry[v] = little ? (255 << 24) | (b << 16) | (g << 8) | r : (r << 24) | (g << 16) | (b << 8) | 255;
  }
  for (let i = 0; i <= TOP; i++) {
    const v = Math.min(255, Math.max(0, Math.round((i - low) * scale)));
    table[i] = entry[negative ? 255 - v : v];
  }
}

// Paints levels (a Uint16Array, or a function from index to level) into a canvas.
export function paint(canvas, width, height, levels, ends, negative = false, tint = "grey") {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  fill(ends, negative, tint);
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const n = width * height;
  if (typeof levels === "function") for (let i = 0; i < n; i++) out[i] = table[levels(i)];
  else for (let i = 0; i < n; i++) out[i] = table[levels[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}
