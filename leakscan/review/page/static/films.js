// Two films: side by side, blinking, over each other or subtracted, on one zoom and one window.
import { paint } from "./tone.js";
import { Viewer } from "./viewer.js";

const HUES = 137.508; // degrees: the golden angle keeps neighbours apart

export class Films extends Viewer {
  constructor(stage, onSharper) {
    super(stage, "films");
    this.onSharper = onSharper;
    this.tones = { a: document.createElement("canvas"), b: document.createElement("canvas") };
    this.view = { zoom: 1, x: 0, y: 0 };
    this.stored = false;
  }

  // a and b are what levels() gives; laid is the answer of /api/laid, null where there is none.
  show(a, b, laid) {
    this.laid = laid;
    this.places = [];
    this.sought = false;
    this.begin(a, b);
  }

  sharper(a, b) {
    Object.assign(this, { a: a || this.a, b: b || this.b, fresh: true });
    this.draw();
  }

  makePanes() {
    const names = this.mode === "side" ? ["a", "b"] : ["both"];
    return names.map((name) => this.pane(name, LABELS[name === "both" ? this.mode : name]));
  }

  fit() {
    const [height, width] = this.a ? this.a.native : [1, 1];
    this.view = { zoom: 1, x: width / 2, y: height / 2 };
  }

  // Screen pixels for one pixel of the left film's file.
  scale(canvas) {
    const [height, width] = this.a.native;
    return Math.min(canvas.clientWidth / width, canvas.clientHeight / height) * this.view.zoom;
  }

  zoom(factor, at) {
    const before = this.view.zoom;
    this.view.zoom = Math.min(40, Math.max(0.3, before * factor));
    if (at) {
      const scale = this.scale(at.canvas);
      const [dx, dy] = [at.x - at.canvas.clientWidth / 2, at.y - at.canvas.clientHeight / 2];
      const gain = 1 / (scale * (before / this.view.zoom)) - 1 / scale;
      this.view.x += dx * gain;
      this.view.y += dy * gain;
    }
    this.draw();
    const shown = this.scale(this.panes[0].canvas) * devicePixelRatio;
    for (const side of ["a", "b"]) {
      const film = this[side];
      if (shown > (1.2 * film.shape[1]) / film.native[1] && film.shape[1] < film.native[1]) this.onSharper(side);
    }
  }

  pan(dx, dy) {
    const scale = this.scale(this.panes[0].canvas);
    this.view.x -= dx / scale;
    this.view.y -= dy / scale;
    this.draw();
  }

  tone(side) {
    const film = this[side];
    const [height, width] = film.shape;
    const turned = side === "b" && !this.stored && Boolean(this.laid?.inverted);
    const tint = this.mode === "overlay" ? { a: "left", b: "right" }[side] : "grey";
    const ends = this.window.ends(film.window);
    if (turned) {
      // The negative is windowed as the positive would be: its own window, mirrored.
      const [low, high] = film.window;
      const [from, to] = this.window.ends([-high, -low]);
      ends.splice(0, 2, -to, -from);
    }
    paint(this.tones[side], width, height, film.levels, ends, this.negative !== turned, tint);
  }

  matrix() {
    if (!this.laid) return null;
    if (this.stored) return this.laid.plain;
    if (this.mode === "side" && this.laid.how === "shape") return this.laid.upright;
    return this.laid.aligned;
  }

  drawNow() {
    if (this.fresh) {
      this.tone("a");
      this.tone("b");
      this.fresh = false;
    }
    for (const pane of this.panes) this.drawPane(pane);
  }

  drawPane({ name, canvas, tag }) {
    const c = this.cleared(canvas);
    if (!c) return;
    const ratio = devicePixelRatio || 1;
    const { width, height } = canvas;
    const scale = this.scale(canvas) * ratio;
    const home = () =>
      c.setTransform(scale, 0, 0, scale, width / 2 - this.view.x * scale, height / 2 - this.view.y * scale);
    const draws = {
      side: { a: () => this.left(c, home), b: () => this.right(c, home) },
      blink: { both: () => (this.shown === "a" ? this.left(c, home) : this.right(c, home)) },
      overlay: { both: () => this.pile(c, home, "lighter") },
      difference: { both: () => this.pile(c, home, "difference") },
    };
    draws[this.mode][name]();
    if (this.points) this.marks(c, home, name);
    tag.textContent = this.words(name);
  }

  words(name) {
    if (name === "a") return "left";
    if (name === "b") return this.stored ? "right, as stored" : "right";
    return { blink: this.shown === "a" ? "left" : "right", overlay: "left orange, right blue, grey where they agree", difference: "black where they agree" }[this.mode];
  }

  left(c, home) {
    home();
    const [height, width] = this.a.native;
    c.drawImage(this.tones.a, 0, 0, width, height);
  }

  // From here on the canvas takes pixels of the right film's file.
  toRight(c, home) {
    home();
    const matrix = this.matrix();
    const [height, width] = this.b.native;
    if (matrix) c.transform(...matrix);
    else {
      const [ha, wa] = this.a.native;
      c.scale(wa / width, ha / height);
    }
  }

  right(c, home) {
    this.toRight(c, home);
    const [height, width] = this.b.native;
    c.drawImage(this.tones.b, 0, 0, width, height);
  }

  pile(c, home, how) {
    this.left(c, home);
    c.save();
    if (how === "difference") {
      // Only where both have pixels; elsewhere there is nothing to subtract.
      c.save();
      c.globalCompositeOperation = "destination-in";
      this.right(c, home);
      c.restore();
    }
    c.globalCompositeOperation = how;
    if (how === "difference") {
      home();
      const [height, width] = this.a.native;
      c.beginPath();
      c.rect(0, 0, width, height);
      c.clip();
    }
    this.right(c, home);
    c.restore();
    c.globalCompositeOperation = "destination-over";
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.fillStyle = "#000";
    c.fillRect(0, 0, c.canvas.width, c.canvas.height);
    c.globalCompositeOperation = "source-over";
  }

  // Keypoints that agree (small), and places that look alike: rings of one colour belong together.
  marks(c, home, name) {
    const right = name === "b" || (name === "both" && this.mode === "blink" && this.shown === "b");
    this.rings(c, home, right, this.laid?.points || [], 5);
    this.rings(c, home, right, this.places, 10);
  }

  rings(c, home, right, found, size) {
    const ratio = devicePixelRatio || 1;
    const radius = size * ratio;
    found.forEach(([xa, ya, xb, yb], i) => {
      if (right) this.toRight(c, home);
      else home();
      const [x, y] = right ? [xb, yb] : [xa, ya];
      const own = c.getTransform();
      const px = own.a * x + own.c * y + own.e;
      const py = own.b * x + own.d * y + own.f;
      c.setTransform(1, 0, 0, 1, 0, 0);
      c.beginPath();
      c.arc(px, py, radius, 0, 2 * Math.PI);
      c.lineWidth = 1.6 * ratio;
      c.strokeStyle = `hsl(${(i * HUES) % 360} 95% 62%)`;
      c.stroke();
    });
  }
}

const LABELS = {
  a: "The left film",
  b: "The right film, brought to lie as the left one does",
  blink: "Both films in turn",
  overlay: "Both films over each other",
  difference: "The difference of both films",
};
