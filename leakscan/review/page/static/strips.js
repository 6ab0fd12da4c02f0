// The images of each of the two people, to choose from.
import { byId, fill, make, many } from "./dom.js";
import { film } from "./kept.js";
import { paint } from "./tone.js";

// The images of one person. Those in pairs that equal pixels settle are put away.
export function strip(id, images, side, { card, shown: current, choose }) {
  const settled = new Set();
  const paired = new Set();
  for (const pair of card.pairs) {
    const key = side === "left" ? pair.a : pair.b;
    (pair.settled ? settled : paired).add(key);
  }
  const away = images.filter((i) => settled.has(i.key) && !paired.has(i.key) && i.key !== current.key);
  const shown = images.filter((i) => !away.includes(i));
  const one = (image) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const button = make(
      "button",
      { type: "button", class: paired.has(image.key) ? "paired" : "", title: image.title, "aria-pressed": String(image.key === current.key), "aria-label": `Show ${image.title} on the ${side}`, onclick: () => choose(side, image) },
      canvas,
      make("span", { class: "cap" }, image.date || image.title.split("/").at(-1)),
    );
    film(card.key, image.key, "thumb").then((f) => paint(canvas, f.shape[1], f.shape[0], f.levels, f.window), () => {});
    return make("li", {}, button);
  };
  const parts = images.length > 1 ? shown.map(one) : [];
  if (away.length) {
    const inside = make("ul");
    const words = `${many(away.length, "image")} settled by equal pixels`;
    const more = make("details", {}, make("summary", {}, words), inside);
    more.addEventListener("toggle", () => fill(inside, ...away.map(one)), { once: true });
    parts.push(make("li", {}, more));
  }
  fill(byId(id), ...parts);
}
