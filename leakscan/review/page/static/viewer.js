// What films and volumes have in common: panes on a stage, one window, two at a time or one after the other.
import { make } from "./dom.js";
import { Window } from "./tone.js";

const BLINK_MS = 700;

// A viewer of one kind says what its panes are (makePanes) and draws them (drawNow).
export class Viewer {
  constructor(stage, kind) {
    this.stage = stage;
    this.kind = kind; // the class of the stage
    this.window = new Window();
    this.mode = "side";
    this.shown = "a"; // of the two that blink
    this.negative = this.points = false;
    this.frame = 0;
    this.panes = [];
    this.observer = new ResizeObserver(() => this.draw());
  }

  begin(a, b) {
    Object.assign(this, { a, b, fresh: true });
    this.window.reset();
    this.fit();
    this.build();
  }

  set(mode) {
    this.mode = mode;
    this.build();
  }

  build() {
    this.stop();
    this.observer.disconnect();
    this.stage.className = this.kind;
    this.stage.dataset.mode = this.mode;
    this.panes = this.makePanes();
    this.stage.replaceChildren(...this.panes.map((pane) => pane.box));
    for (const { box } of this.panes) this.observer.observe(box);
    if (this.mode === "blink" && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.timer = setInterval(() => this.flip(), BLINK_MS);
    }
    this.fresh = true;
    this.draw();
  }

  pane(name, label, ...more) {
    const canvas = make("canvas", { role: "img", "aria-label": label });
    const tag = make("span", { class: "tag" });
    return { name, canvas, tag, box: make("div", { class: "pane" }, canvas, tag, ...more) };
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
  }

  leave() {
    this.stop();
    this.observer.disconnect();
    this.a = this.b = null;
  }

  flip() {
    this.shown = this.shown === "a" ? "b" : "a";
    this.draw();
  }

  tune(dx, dy) {
    this.window.drag(dx, dy);
    this.fresh = true;
    this.draw();
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.a && this.b && this.drawNow());
  }

  // A black canvas as large as its box, or nothing where the box has no size.
  cleared(canvas) {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!width || !height) return null;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const c = canvas.getContext("2d");
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.globalCompositeOperation = "source-over";
    c.fillStyle = "#000";
    c.fillRect(0, 0, width, height);
    c.imageSmoothingQuality = "high";
    return c;
  }
}
