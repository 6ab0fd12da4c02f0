// Small helpers. Text always goes in as text, so nothing that a table holds becomes markup.
export const byId = (id) => document.getElementById(id);

export function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// A path that breaks after its marks, and not in the middle of a word.
export const breakable = (path) => path.split(/(?<=[/_])/).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));

export const press = (button, on) => button.setAttribute("aria-pressed", String(Boolean(on)));

export function percent(share) {
  if (share === null || share === undefined) return "";
  if (share > 0.999) return "> 99.9 %";
  if (share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share > 0.1 && share < 0.99 ? 0 : 1)} %`;
}

export const many = (n, thing, things = `${thing}s`) => `${n.toLocaleString("en")} ${n === 1 ? thing : things}`;
