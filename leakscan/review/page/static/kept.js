// What the page has fetched of images, kept while few enough others come between.
import { get, levels } from "./net.js";

const KEPT = 24; // pictures that stay in memory

const kept = new Map();
function fetched(address, how) {
  if (!kept.has(address)) {
    kept.set(address, how(address).catch((error) => { kept.delete(address); throw error; }));
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  }
  const found = kept.get(address);
  kept.delete(address);
  kept.set(address, found);
  return found;
}
export const film = (card, image, level) => fetched(`/api/film/${card}/${image}/${level}`, levels);
// How well they agree is told once a blind reviewer has judged, so the answer is asked for again then.
export const laid = (card, a, b, hidden) => fetched(`/api/laid/${card}/${a}/${b}${hidden ? "?blind" : ""}`, get);
// Where the two agree is asked for only when somebody wants to see it.
export const places = (card, a, b) => fetched(`/api/places/${card}/${a}/${b}`, get);
export const parts = (card, a, b) => fetched(`/api/parts/${card}/${a}/${b}`, levels);
export const volume = (card, ...images) => fetched(`/api/volume/${card}/${images.join("/")}`, levels);
