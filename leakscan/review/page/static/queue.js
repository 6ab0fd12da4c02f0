// The queue: fetched a part at a time, so that ten thousand pairs are as quick as ten.
import { byId, fill, make, many, percent } from "./dom.js";
import { get } from "./net.js";

const PART = 100;
export const MARKS = { same: "=", different: "≠", unsure: "?", wanted: "✓" };
const STATES = { disputed: "!", others: "·", settled: "▪", open: "", mine: "" };
const STATE_WORDS = { disputed: "disputed", others: "judged by others", settled: "settled by equal pixels", open: "not judged", mine: "judged" };

export class Queue {
  constructor(onPick, onProgress, onGone) {
    this.onPick = onPick;
    this.onProgress = onProgress;
    this.list = byId("lines");
    this.form = byId("filters");
    this.lines = [];
    this.start = this.total = 0;
    this.current = "";
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load().catch(onGone), 250);
    });
    this.list.addEventListener("scroll", () => {
      const left = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight;
      if (left < 400) this.more().catch(onGone);
    });
    this.list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.onPick(button.dataset.key);
    });
  }

  prepare(run) {
    const add = (name, entries) => {
      const select = this.form.elements[name];
      for (const [value, words] of entries) select.append(make("option", { value }, words));
      select.closest("label").hidden = entries.length < 2;
    };
    add("relation", run.relations);
    add("decision", run.decisions.map((d) => [d, d]));
    add("datasets", run.couples.map((c) => [c, c.replace("\n", " and ")]));
    byId("probabilities").hidden = !run.probabilities;
    this.form.elements.order.closest("label").hidden = run.blind;
    this.form.elements.text.closest("label").hidden = run.blind;
    if (run.blind) this.form.elements.state.querySelectorAll("[value=others],[value=disputed],[value=settled]").forEach((o) => o.remove());
  }

  asked() {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(this.form)) {
      if (name === "least" || name === "most") asked.set(name, String(Math.min(100, Math.max(0, Number(value) || 0)) / 100));
      else if (value) asked.set(name, value);
    }
    return asked;
  }

  async load(from = 0) {
    const turn = (this.turn = Symbol("turn"));
    const asked = this.asked();
    asked.set("start", String(from));
    asked.set("length", String(PART));
    const answer = await get(`/api/queue?${asked}`);
    if (turn !== this.turn) return;
    this.lines = answer.cards;
    this.start = answer.start;
    this.total = answer.total;
    this.draw();
    this.list.scrollTop = 0;
    this.onProgress(answer.progress);
  }

  // Goes on after the last line by its name, because numbers shift while cards are judged.
  async more() {
    if (this.loading || this.ended || !this.lines.length) return;
    this.loading = true;
    try {
      const turn = this.turn;
      const asked = this.asked();
      asked.set("after", this.lines.at(-1).key);
      asked.set("length", String(PART));
      const answer = await get(`/api/queue?${asked}`);
      if (turn !== this.turn) return;
      const known = new Set(this.lines.map((line) => line.key));
      const fresh = answer.cards.filter((line) => !known.has(line.key));
      this.lines.push(...fresh);
      if (!fresh.length) this.endedAt = this.lines.length;
      this.list.append(...fresh.map((line) => this.line(line)));
    } finally {
      this.loading = false;
    }
  }

  get ended() {
    return this.endedAt === this.lines.length;
  }

  draw() {
    this.endedAt = undefined;
    fill(this.list, ...this.lines.map((line) => this.line(line)));
    const words = this.total ? many(this.total, "pair of people", "pairs of people") : "No pair of people fits these filters.";
    byId("count").textContent = this.start ? `${words}, from number ${this.start + 1} on` : words;
    this.mark(this.current);
  }

  line(line) {
    const n = this.start + this.lines.indexOf(line) + 1;
    const [a, b] = line.hidden ? [`Pair ${n}`, ""] : line.title;
    const share = line.probability !== undefined && line.probability !== null ? percent(line.probability) : line.decision || "";
    const mark = MARKS[line.word] || STATES[line.state];
    const words = line.word ? `judged ${line.word}` : STATE_WORDS[line.state];
    return make(
      "li",
      {},
      make(
        "button",
        { type: "button", "data-key": line.key, title: [a, b].filter(Boolean).join("\n") },
        make("span", { class: `mark word-${line.word}`, "aria-hidden": "true" }, mark),
        make("span", { class: "name" }, make("bdi", {}, a)),
        make("span", { class: "share" }, share),
        b ? make("span", { class: "name" }, make("bdi", {}, b)) : null,
        make("span", { class: "sr" }, `, ${words}`),
      ),
    );
  }

  // A card has changed: its line is drawn again where it stands.
  renew(card) {
    const at = this.lines.findIndex((line) => line.key === card.key);
    if (at < 0) return;
    this.lines[at] = { ...this.lines[at], ...card };
    this.list.children[at].replaceWith(this.line(this.lines[at]));
    this.mark(this.current);
  }

  mark(key) {
    this.current = key;
    for (const old of this.list.querySelectorAll("[aria-current]")) old.removeAttribute("aria-current");
    const button = this.list.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (button) {
      button.setAttribute("aria-current", "true");
      button.scrollIntoView({ block: "nearest" });
    }
  }

  index() {
    return this.lines.findIndex((line) => line.key === this.current);
  }

  number() {
    const at = this.index();
    return at < 0 ? 0 : this.start + at + 1;
  }

  async next() {
    let at = this.index() + 1;
    if (at >= this.lines.length - 10) {
      const more = this.more();
      if (at >= this.lines.length) await more;
      else more.catch(() => {}); // there are lines left; it is asked for again
    }
    return this.lines[at]?.key;
  }

  async previous() {
    const at = this.index();
    if (at === 0 && this.start > 0) {
      const from = Math.max(0, this.start - PART);
      const key = this.current;
      await this.load(from);
      this.mark(key);
      return this.lines[this.index() - 1]?.key ?? this.lines.at(-1)?.key;
    }
    return this.lines[at - 1]?.key;
  }

  following(n) {
    const at = this.index();
    return this.lines.slice(at + 1, at + 1 + n).map((line) => line.key);
  }

  async jump(number) {
    const at = Math.min(Math.max(1, number), Math.max(1, this.total)) - 1;
    if (at < this.start || at >= this.start + this.lines.length) await this.load(at);
    return this.lines[at - this.start]?.key;
  }
}
