// What a reviewer said, kept in this browser until the server has written it down.
import { recall, remember } from "./memory.js";
import { GONE, post, Refusal } from "./net.js";

const WAITING = "leakscan-waiting";
const RETRY_MS = 2000;

// Oldest first. What waits outlives the page and the server, and other reviews may be served at this address
// later: a verdict goes out in the name of the person who gave it, and to a run that knows its card.
export class Outbox {
  constructor(onChange) {
    this.onChange = onChange;
    this.reviewer = null;
    this.busy = false;
    this.trouble = "";
    this.strays = new Set();
    window.addEventListener("focus", () => this.send());
    window.addEventListener("online", () => this.send());
    window.addEventListener("storage", () => this.onChange({})); // another tab has sent or added something
    setInterval(() => this.items.length && this.send(), RETRY_MS);
  }

  begin(reviewer) {
    this.reviewer = reviewer;
    return this.send();
  }

  get all() {
    try {
      const found = JSON.parse(recall(WAITING) || "[]");
      return Array.isArray(found) ? found : [];
    } catch {
      return [];
    }
  }

  // What this review is to write down.
  get items() {
    return this.all.filter((item) => this.isOurs(item));
  }

  // How many wait for another run or another reviewer.
  get elsewhere() {
    return this.all.length - this.items.length;
  }

  isOurs(item) {
    return (item.reviewer ?? this.reviewer) === this.reviewer && !this.strays.has(item.body.id);
  }

  keep(items) {
    remember(WAITING, JSON.stringify(items));
  }

  add(address, body) {
    this.keep([...this.all, { address, body, reviewer: this.reviewer }]);
    return this.send();
  }

  // Takes out the newest one, if the server cannot have it yet.
  takeBack() {
    const last = this.items.at(-1);
    if (!last || last.tried) return false;
    this.drop(last.body.id);
    return true;
  }

  // Sends what waits, in order. A request that makes no sense is dropped with a word; all else stays.
  async send() {
    if (this.busy || this.reviewer === null) return;
    this.busy = true;
    try {
      while (this.items.length) {
        const { address, body } = this.items[0];
        // From now on the server may have it, even if its answer never comes.
        this.keep(this.all.map((item) => (item.body.id === body.id ? { ...item, tried: true } : item)));
        try {
          const answer = await post(address, body);
          this.drop(body.id);
          this.trouble = "";
          this.onChange({ saved: body, answer });
        } catch (error) {
          const status = error instanceof Refusal ? error.status : 0;
          this.trouble = status ? error.message : GONE;
          if (status === 400) this.drop(body.id);
          // Of another run, or a fault of the server: it is kept, and does not hold up those behind it.
          const stray = status === 404 || status === 500;
          if (stray) this.strays.add(body.id);
          this.onChange({ failed: body, dropped: status === 400 });
          if (status !== 400 && !stray) return;
        }
      }
    } finally {
      this.busy = false;
    }
  }

  drop(id) {
    this.keep(this.all.filter((item) => item.body.id !== id));
  }
}
