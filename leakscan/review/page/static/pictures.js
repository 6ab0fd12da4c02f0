// What the stage shows of the two images of a card, and how one looks at them.
import { byId, fill, make, many, press } from "./dom.js";
import { Films } from "./films.js";
import { handleStage } from "./hands.js";
import { film, laid, parts, places, volume } from "./kept.js";
import { GONE, Refusal } from "./net.js";
import { Volumes } from "./volumes.js";

const ENOUGH = 30; // keypoints that agree, from which places add nothing

// "state" holds the card, the image on each side, the mode and what a drag does; the page changes it.
export function pictures(state, stage) {
  const films = new Films(stage, async (side) => {
    const [card, image] = [state.card.key, side === "a" ? state.left : state.right];
    const sharp = await film(card, image.key, "full").catch(() => null);
    if (sharp && state.card.key === card && image === (side === "a" ? state.left : state.right)) films.sharper(side === "a" ? sharp : null, side === "b" ? sharp : null);
  });
  const volumes = new Volumes(stage);
  const viewer = () => (state.left?.ndim === 3 ? volumes : films);

  async function look() {
    const turn = (state.looking = Symbol("look"));
    const { card, left, right } = state;
    const fresh = () => turn === state.looking;
    films.leave();
    volumes.leave();
    byId("how").textContent = "";
    if (left.ndim !== right.ndim) return gone("One is a picture and the other a volume, so they cannot lie on each other.");
    const late = setTimeout(() => fresh() && fill(stage, make("div", { class: "gone" }, "Reading the images …")), 200);
    try {
      if (left.ndim === 3) {
        const [a, b] = await Promise.all([volume(card.key, left.key), volume(card.key, left.key, right.key)]);
        if (!fresh()) return;
        volumes.mode = state.mode;
        volumes.show(a, b);
        showHow();
      } else {
        const [a, b, how] = await Promise.all([film(card.key, left.key, "screen"), film(card.key, right.key, "screen"), laid(card.key, left.key, right.key, card.hidden && !card.word).catch(() => null)]);
        if (!fresh()) return;
        films.mode = state.mode;
        films.show(a, b, how);
        showHow();
      }
      findAgreement();
    } catch (error) {
      if (fresh()) gone(error instanceof Refusal ? error.message : GONE);
    } finally {
      clearTimeout(late);
    }
  }

  function gone(sentence) {
    stage.className = "";
    fill(stage, make("div", { class: "gone", role: "alert" }, make("p", {}, sentence)));
  }

  function showHow() {
    const own = viewer();
    const how = own === films ? films.laid : volumes.b;
    if (!how || !own.a) return;
    const words = own === films && films.stored ? "As stored: nothing is undone." : how.words;
    byId("how").textContent = [words, own.points ? agreementWords() : ""].filter(Boolean).join(" ");
  }

  function agreementWords() {
    const how = films.laid;
    if (state.card.hidden && !state.card.word) return "";
    if (viewer() === volumes) return volumes.parts ? "Green: the local contrast of both agrees, the stronger the more." : "";
    const n = films.places.length;
    if (n) return `Large rings: ${many(n, "place")} that look alike in detail; films of strangers have a few. Rings of one colour belong together.`;
    if (how?.agreeing) return "Rings of one colour belong together.";
    return films.sought ? "No keypoints agree, and no places look alike in detail." : "";
  }

  // Where two films agree in few keypoints, the places that look alike; of volumes, the parts that agree.
  async function findAgreement() {
    const [own, turn, { card, left, right }] = [viewer(), state.looking, state];
    if (!own.points || !own.a || (card.hidden && !card.word)) return;
    if (own === films && films.laid?.agreeing >= ENOUGH) return; // a copy, whose keypoints say it all
    const found = await (own === films ? places : parts)(card.key, left.key, right.key).catch(() => null);
    if (turn !== state.looking || !found) return;
    if (own === films) Object.assign(films, { places: found.places, sought: found.sought });
    else volumes.parts = found;
    showHow();
    own.draw();
  }

  function setMode(mode) {
    state.mode = mode;
    for (const button of document.querySelectorAll("[data-mode]")) if (button !== stage) press(button, button.dataset.mode === mode);
    if (viewer().a) viewer().set(mode);
  }

  function toggle(name) {
    films[name] = !films[name];
    if (name !== "stored") volumes[name] = films[name];
    press(byId({ points: "agree", stored: "lie", negative: "negative" }[name]), films[name]);
    films.fresh = true;
    showHow();
    if (name === "points") findAgreement();
    if (viewer().a) viewer().draw();
  }

  function setDrag(drag) {
    state.drag = drag;
    for (const button of document.querySelectorAll("[data-drag]")) press(button, button.dataset.drag === drag);
  }

  function reset() {
    const own = viewer();
    if (!own.a) return;
    own.window.reset();
    own.fit();
    own.fresh = true;
    own.draw();
  }

  handleStage({ stage, viewer, films, volumes, reset, drag: () => state.drag });

  return { look, viewer, films, volumes, setMode, toggle, setDrag, reset };
}
