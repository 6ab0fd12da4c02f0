// What the browser keeps between visits. A browser that forbids it keeps it as long as the page is open.
const here = new Map();

export function remember(name, text) {
  try {
    localStorage.setItem(name, text);
    here.delete(name);
  } catch {
    here.set(name, text); // forbidden, or full
  }
}

export function recall(name) {
  if (here.has(name)) return here.get(name);
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
