// Talks to the server. What a reviewer said waits here until the server has written it down.
const SECRET = document.querySelector('meta[name="leakscan-secret"]').content;
const WAITING = "leakscan-waiting";
const RETRY_MS = 2000;

export const GONE = "The review does not answer; is it still running?";

export class Refusal extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

async function answered(response) {
  if (response.ok) return response;
  let sentence = `The server answered ${response.status}.`;
  try {
    const told = await response.json();
    sentence = [told.error, told.hint].filter(Boolean).join(" ");
  } catch { /* no JSON: the sentence above stands */ }
  throw new Refusal(sentence, response.status);
}

export async function get(address, signal) {
  return (await answered(await fetch(address, { signal }))).json();
}

// Grey levels: a JSON header and 16 bits a pixel, see leakscan/review/page/pictures.py.
export async function levels(address, signal) {
  const bytes = await (await answered(await fetch(address, { signal }))).arrayBuffer();
  const length = new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  return { ...header, levels: new Uint16Array(bytes, 4 + length) };
}

export async function post(address, body) {
  const response = await fetch(address, {
    method: "POST",
    keepalive: true, // so that closing the page right after the key loses nothing
    headers: { "Content-Type": "application/json", "X-Leakscan-Secret": SECRET },
    body: JSON.stringify(body),
  });
  return (await answered(response)).json();
}

export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

// Verdicts that are not on disk yet, oldest first. They outlive the page and the server.
export class Outbox {
  constructor(onChange) {
    this.onChange = onChange;
    this.busy = false;
    this.trouble = "";
    window.addEventListener("focus", () => this.send());
    window.addEventListener("online", () => this.send());
    setInterval(() => this.items.length && this.send(), RETRY_MS);
  }

  get items() {
    try {
      const found = JSON.parse(localStorage.getItem(WAITING) || "[]");
      return Array.isArray(found) ? found : [];
    } catch {
      return [];
    }
  }

  keep(items) {
    localStorage.setItem(WAITING, JSON.stringify(items));
  }

  add(address, body) {
    this.keep([...this.items, { address, body }]);
    return this.send();
  }

  // Sends what waits, in order. A request that makes no sense is dropped with a word; all else stays.
  async send() {
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.items.length) {
        const { address, body } = this.items[0];
        try {
          const answer = await post(address, body);
          this.drop(body.id);
          this.trouble = "";
          this.onChange({ saved: body, answer });
        } catch (error) {
          const senseless = error instanceof Refusal && [400, 404].includes(error.status);
          if (senseless) this.drop(body.id);
          this.trouble = error instanceof Refusal ? error.message : "The review does not answer; is it still running?";
          this.onChange({ failed: body, dropped: senseless });
          if (!senseless) return;
        }
      }
    } finally {
      this.busy = false;
    }
  }

  drop(id) {
    this.keep(this.items.filter((item) => item.body.id !== id));
  }
}
