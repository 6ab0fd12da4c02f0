// Two volumes on one grid: three planes each, one cursor, one window.
import { make } from "./dom.js";
import { paint } from "./tone.js";
import { Viewer } from "./viewer.js";

// Axes are R, A, S. A plane says which axis runs to the right and down on the screen, both backwards as
// radiologists look: the patient's right on the left, front or head up.
const PLANES = [
  { name: "axial", across: 0, down: 1, through: 2, sides: ["R", "L", "A"] },
  { name: "coronal", across: 0, down: 2, through: 1, sides: ["R", "L", "S"] },
  { name: "sagittal", across: 1, down: 2, through: 0, sides: ["A", "P", "S"] },
];
const AGREE = 0.5; // correlation of local contrast from which a place is tinted
const TINT = [64, 220, 120];

export class Volumes extends Viewer {
  constructor(stage) {
    super(stage, "volumes");
    this.magnified = 1;
    this.plane = 0;
    this.scratch = [document.createElement("canvas"), document.createElement("canvas")];
    this.tinted = document.createElement("canvas");
  }

  show(a, b) {
    this.parts = null;
    this.begin(a, b);
  }

  fit() {
    this.cursor = this.a.shape.map((n) => Math.floor(n / 2));
    this.magnified = 1;
  }

  makePanes() {
    const rows = this.mode === "side" ? ["a", "b"] : ["both"];
    return rows.flatMap((name, row) =>
      PLANES.map((plane, i) => {
        const sides = ["l", "r", "t"].map((side, k) => make("span", { class: `side ${side}`, "aria-hidden": "true" }, plane.sides[k]));
        const pane = this.pane(name, `${plane.name} plane, ${{ a: "left", b: "right" }[name] || this.mode}`, ...sides);
        pane.box.style.setProperty("--narrow", String(i * 2 + row));
        return { ...pane, plane };
      }),
    );
  }

  zoom(factor) {
    this.magnified = Math.min(8, Math.max(1, this.magnified * factor));
    this.draw();
  }

  // Moves the cursor within the plane that was used last; what is seen stays around the cursor.
  pan(dx, dy) {
    const { across, down } = PLANES[this.plane];
    this.move(across, Math.sign(dx));
    this.move(down, Math.sign(dy));
  }

  step(by) {
    this.move(PLANES[this.plane].through, by);
  }

  move(axis, by) {
    this.cursor[axis] = Math.min(this.a.shape[axis] - 1, Math.max(0, this.cursor[axis] + by));
    this.draw();
  }

  paneAt(canvas) {
    return this.panes.find((pane) => pane.canvas === canvas);
  }

  point(canvas, x, y) {
    const pane = this.paneAt(canvas);
    if (!pane) return;
    const { plane } = pane;
    this.plane = PLANES.indexOf(plane);
    const { scale, left, top } = this.place(pane);
    const [nx, ny] = [this.a.shape[plane.across], this.a.shape[plane.down]];
    this.cursor[plane.across] = Math.min(nx - 1, Math.max(0, nx - 1 - Math.floor((x - left) / scale)));
    this.cursor[plane.down] = Math.min(ny - 1, Math.max(0, ny - 1 - Math.floor((y - top) / scale)));
    this.draw();
  }

  place({ canvas, plane }) {
    const [nx, ny] = [this.a.shape[plane.across], this.a.shape[plane.down]];
    const scale = Math.min(canvas.clientWidth / nx, canvas.clientHeight / ny) * this.magnified;
    if (this.magnified === 1) {
      return { scale, left: (canvas.clientWidth - nx * scale) / 2, top: (canvas.clientHeight - ny * scale) / 2 };
    }
    const x = nx - 1 - this.cursor[plane.across] + 0.5;
    const y = ny - 1 - this.cursor[plane.down] + 0.5;
    return { scale, left: canvas.clientWidth / 2 - x * scale, top: canvas.clientHeight / 2 - y * scale };
  }

  drawNow() {
    for (const pane of this.panes) this.drawPane(pane);
  }

  slice(canvas, volume, plane, tint = "grey") {
    const [, ny, nz] = volume.shape;
    const strides = [ny * nz, nz, 1];
    const [wide, tall] = [volume.shape[plane.across], volume.shape[plane.down]];
    const base = this.cursor[plane.through] * strides[plane.through];
    const [sx, sy] = [strides[plane.across], strides[plane.down]];
    const level = (i) => volume.levels[base + (wide - 1 - (i % wide)) * sx + (tall - 1 - Math.floor(i / wide)) * sy];
    paint(canvas, wide, tall, level, this.window.ends(volume.window), this.negative, tint);
  }

  drawPane(pane) {
    const { name, plane, canvas, tag } = pane;
    const c = this.cleared(canvas);
    if (!c) return;
    const ratio = devicePixelRatio || 1;
    const { scale, left, top } = this.place(pane);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    const put = (volume, tint, how) => {
      const scratch = this.scratch[volume === this.a ? 0 : 1];
      this.slice(scratch, volume, plane, tint);
      c.globalCompositeOperation = how;
      c.drawImage(scratch, left, top, scratch.width * scale, scratch.height * scale);
    };
    if (name !== "both") put(this[name], "grey", "source-over");
    else if (this.mode === "blink") put(this[this.shown], "grey", "source-over");
    else {
      const over = this.mode === "overlay";
      put(this.a, over ? "left" : "grey", "source-over");
      put(this.b, over ? "right" : "grey", over ? "lighter" : "difference");
    }
    c.globalCompositeOperation = "source-over";
    if (this.points && this.parts) this.tint(c, plane, scale, left, top);
    this.cross(c, canvas, plane, scale, left, top);
    const where = `${plane.name} ${this.cursor[plane.through] + 1}/${this.a.shape[plane.through]}`;
    const who = { a: "left", b: "right" }[name] || { blink: this.shown === "a" ? "left" : "right", overlay: "left orange, right blue", difference: "difference" }[this.mode];
    tag.textContent = `${who}, ${where}`;
  }

  // Green where the local contrast of both agrees. The parts have fewer steps than the volumes.
  tint(c, plane, scale, left, top) {
    const { shape, levels, low, per_level: step } = this.parts;
    const strides = [shape[1] * shape[2], shape[2], 1];
    const [wide, tall] = [shape[plane.across], shape[plane.down]];
    const depth = this.a.shape[plane.through];
    const at = Math.min(shape[plane.through] - 1, Math.floor((this.cursor[plane.through] * shape[plane.through]) / depth));
    const image = new ImageData(wide, tall);
    for (let i = 0; i < wide * tall; i++) {
      const x = wide - 1 - (i % wide);
      const y = tall - 1 - Math.floor(i / wide);
      const agree = low + step * levels[at * strides[plane.through] + x * strides[plane.across] + y * strides[plane.down]];
      image.data.set([...TINT, 140 * Math.min(1, Math.max(0, (agree - AGREE) / (1 - AGREE)))], 4 * i);
    }
    this.tinted.width = wide;
    this.tinted.height = tall;
    this.tinted.getContext("2d").putImageData(image, 0, 0);
    c.drawImage(this.tinted, left, top, this.a.shape[plane.across] * scale, this.a.shape[plane.down] * scale);
  }

  cross(c, canvas, plane, scale, left, top) {
    const x = left + (this.a.shape[plane.across] - this.cursor[plane.across] - 0.5) * scale;
    const y = top + (this.a.shape[plane.down] - this.cursor[plane.down] - 0.5) * scale;
    c.strokeStyle = "rgb(120 200 255 / .55)";
    c.lineWidth = 1;
    c.beginPath();
    for (const [from, to] of [[[0, y], [x - 8, y]], [[x + 8, y], [canvas.clientWidth, y]], [[x, 0], [x, y - 8]], [[x, y + 8], [x, canvas.clientHeight]]]) {
      c.moveTo(...from);
      c.lineTo(...to);
    }
    c.stroke();
  }
}
