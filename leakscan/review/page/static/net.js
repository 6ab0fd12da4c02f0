// Talks to the server.
const SECRET = document.querySelector('meta[name="leakscan-secret"]').content;

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
