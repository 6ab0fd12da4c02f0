// The page: which card is shown, what a key does, and what was said of it.
import { byId, fill, make, many, press } from "./dom.js";
import { Films } from "./films.js";
import { handleStage } from "./hands.js";
import { get, levels, newId, Outbox, post, Refusal } from "./net.js";
import * as panel from "./panel.js";
import { Queue } from "./queue.js";
import { paint } from "./tone.js";
import { Volumes } from "./volumes.js";

const KEPT = 24; // pictures that stay in memory
const AHEAD = 8;
const ENOUGH = 30; // keypoints that agree, from which places add nothing
const stage = byId("stage");
const state = { card: null, left: null, right: null, mode: "side", drag: "window", run: null };

// ---- pictures, kept while few enough others come between

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
const film = (card, image, level) => fetched(`/api/film/${card}/${image}/${level}`, levels);
// How well they agree is told once a blind reviewer has judged, so the answer is asked for again then.
const laid = (card, a, b, hidden) => fetched(`/api/laid/${card}/${a}/${b}${hidden ? "?blind" : ""}`, get);
// Where the two agree is asked for only when somebody wants to see it.
const places = (card, a, b) => fetched(`/api/places/${card}/${a}/${b}`, get);
const parts = (card, a, b) => fetched(`/api/parts/${card}/${a}/${b}`, levels);
const volume = (card, ...images) => fetched(`/api/volume/${card}/${images.join("/")}`, levels);

const films = new Films(stage, async (side) => {
  const [card, image] = [state.card.key, side === "a" ? state.left : state.right];
  const sharp = await film(card, image.key, "full").catch(() => null);
  if (sharp && state.card.key === card && image === (side === "a" ? state.left : state.right)) films.sharper(side === "a" ? sharp : null, side === "b" ? sharp : null);
});
const volumes = new Volumes(stage);
const viewer = () => (state.left?.ndim === 3 ? volumes : films);

// ---- what is said, and what is on disk

const outbox = new Outbox(({ saved, answer, failed, dropped }) => {
  if (saved && answer.card?.key) {
    queue.renew(answer.card);
    if (state.card?.key === answer.card.key) showCard(answer.card, false);
  }
  if (saved && saved.word) say(`Saved: ${saved.word}.`);
  if (failed && dropped) say(`Not taken: ${outbox.trouble}`, true);
  told();
  refreshProgress();
});

function say(words, waits = false) {
  const box = byId("saved");
  box.textContent = words;
  box.classList.toggle("waits", waits);
}

function told() {
  const waiting = outbox.items.length;
  const box = byId("trouble");
  const sentences = [...(state.run?.troubles || [])];
  if (sentences.length) sentences.push("Start the review again with --source NAME=PATH.");
  if (waiting && outbox.trouble) sentences.unshift(`${outbox.trouble} ${many(waiting, "verdict is", "verdicts are")} kept in this browser and sent again by itself.`);
  box.hidden = !sentences.length;
  box.textContent = sentences.join(" ");
}

async function judge(word, stay = false) {
  const card = state.card;
  if (!card) return;
  const pair = pairOf(card, state.left, state.right);
  if (byId("only-pair").checked && !pair) {
    say("The run has no such pair of images, so only the two people can be judged.", true);
    return;
  }
  const body = {
    id: newId(),
    card: card.key,
    word,
    pair: byId("only-pair").checked ? pair.key : "",
    note: byId("note").value,
    reason: word === "wanted" ? byId("reason").value : "",
    until: word === "wanted" ? byId("until").value : "",
  };
  mark(word);
  const sent = outbox.add("/api/verdict", body);
  const advance = byId("advance").checked && !stay && word !== "wanted";
  if (advance) await step(1);
  await sent;
  if (outbox.items.some((item) => item.body.id === body.id)) {
    say(`Not on disk yet: ${word}.`, true);
    told();
  }
}

async function undo() {
  const before = outbox.items;
  if (before.length) {
    outbox.keep(before.slice(0, -1));
    say("Taken back before it was written.");
    told();
    return;
  }
  try {
    const { card } = await post("/api/undo", { id: newId() });
    if (!card) return say("There is nothing to take back in this session.");
    await open(card);
    say("Taken back.");
    const fresh = await get(`/api/card/${card}`);
    queue.renew(fresh);
    refreshProgress();
  } catch (error) {
    say(`Not taken back: ${error instanceof Refusal ? error.message : GONE}`, true);
  }
}

function mark(word) {
  for (const button of document.querySelectorAll("[data-word]")) {
    const given = button.dataset.word === word;
    button.classList.toggle("given", given);
    press(button, given);
  }
}

// ---- the queue

const queue = new Queue((key) => { open(key); showQueue(false); }, showProgress, () => say(GONE, true));

function showProgress(progress) {
  const done = progress.judged_by_me;
  const bar = byId("progress");
  bar.max = Math.max(progress.cards, 1);
  bar.value = done;
  const parts = [`${done.toLocaleString("en")} of ${progress.cards.toLocaleString("en")} judged by you`];
  if (progress.settled) parts.push(`${progress.settled} settled by pixels`);
  if (progress.disputed) parts.push(`${progress.disputed} disputed`);
  byId("progress-words").textContent = parts.join(", ");
}

let asking = null;
function refreshProgress() {
  clearTimeout(asking);
  asking = setTimeout(async () => {
    try {
      showProgress((await get("/api/queue?length=0")).progress);
    } catch { /* the next one will do */ }
  }, 300);
}

const GONE = "The review does not answer; is it still running?";

// What a click or key starts may fail when the server is gone; that is a sentence, never silence.
function attempt(work) {
  return async (...given) => {
    try {
      return await work(...given);
    } catch (error) {
      say(error instanceof Refusal ? error.message : GONE, true);
    }
  };
}

const step = attempt(async (by) => {
  const key = by > 0 ? await queue.next() : await queue.previous();
  if (key) await open(key);
  else say(by > 0 ? "This was the last one of the queue." : "This is the first one of the queue.");
});

// ---- a card

async function open(key) {
  const turn = (state.turn = Symbol("turn"));
  queue.mark(key);
  byId("note").value = byId("reason").value = byId("until").value = "";
  byId("only-pair").checked = false;
  let card;
  try {
    card = await get(`/api/card/${key}`);
  } catch (error) {
    say(error instanceof Refusal ? error.message : GONE, true);
    return;
  }
  if (turn !== state.turn) return;
  history.replaceState(null, "", `#${key}`);
  showCard(card, true);
  // Notes that it was opened and asks for the next ones; that may fail without harm.
  post("/api/opened", { card: key, next: queue.following(AHEAD) }).catch(() => {});
  setTimeout(() => turn === state.turn && ahead(), 250);
}

function ahead() {
  for (const line of queue.lines.slice(queue.index() + 1, queue.index() + 3)) {
    if (line.ndim === 3) continue; // large: the server renders them ahead
    film(line.key, line.a, "screen").catch(() => {});
    film(line.key, line.b, "screen").catch(() => {});
    laid(line.key, line.a, line.b, line.hidden && !line.word).catch(() => {});
  }
}

function showCard(card, fresh) {
  state.card = card;
  const left = card.left.find((i) => i.key === card.a);
  const right = card.right.find((i) => i.key === card.b);
  if (fresh) {
    state.left = left;
    state.right = right;
  } else {
    state.left = card.left.find((i) => i.key === state.left?.key) || left;
    state.right = card.right.find((i) => i.key === state.right?.key) || right;
  }
  const number = queue.number();
  const title = byId("title");
  if (card.hidden) fill(title, `Pair ${number || ""}`);
  else fill(title, `${number ? `${number}. ` : ""}${state.left.title}`, make("span", { class: "vs" }, " and "), state.right.title);
  byId("why").hidden = !card.why;
  byId("why").textContent = card.why || "";
  mark(card.word);
  byId("save-note").hidden = !card.word;
  byId("wanted-more").hidden = card.word !== "wanted";
  if (fresh) {
    const mine = card.opinions.filter((v) => v.mine).at(-1);
    byId("note").value = mine?.note || "";
    byId("reason").value = mine?.reason || "";
    byId("until").value = mine?.until || "";
  }
  panel.opinions(card);
  showFacts();
  strip("films-left", card.left, "left");
  strip("films-right", card.right, "right");
  if (fresh) look();
}

function pairOf(card, left, right) {
  return card.pairs.find((p) => p.a === left.key && p.b === right.key);
}

function showFacts() {
  panel.evidence(state.card, pairOf(state.card, state.left, state.right));
  panel.facts(state.card, state.left, state.right);
}

// The images of one person. Those in pairs that equal pixels settle are put away.
function strip(id, images, side) {
  const settled = new Set();
  const paired = new Set();
  for (const pair of state.card.pairs) {
    const key = side === "left" ? pair.a : pair.b;
    (pair.settled ? settled : paired).add(key);
  }
  const away = images.filter((i) => settled.has(i.key) && !paired.has(i.key) && i.key !== state[side].key);
  const shown = images.filter((i) => !away.includes(i));
  const one = (image) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const button = make(
      "button",
      { type: "button", class: paired.has(image.key) ? "paired" : "", title: image.title, "aria-pressed": String(image.key === state[side].key), "aria-label": `Show ${image.title} on the ${side}`, onclick: () => choose(side, image) },
      canvas,
      make("span", { class: "cap" }, image.date || image.title.split("/").at(-1)),
    );
    film(state.card.key, image.key, "thumb").then((f) => paint(canvas, f.shape[1], f.shape[0], f.levels, f.window), () => {});
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

function choose(side, image) {
  state[side] = image;
  showCard(state.card, false);
  look();
}

// ---- looking

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

// ---- keys

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  s: () => judge("same"), d: () => judge("different"), u: () => judge("unsure"), w: () => judge("wanted"),
  z: undo, j: () => step(1), k: () => step(-1), ArrowRight: () => step(1), ArrowLeft: () => step(-1),
  n: () => byId("note").focus(), g: jump, "/": () => { showQueue(true); byId("text").focus(); }, "?": () => byId("keys").showModal(),
  1: () => setMode("side"), 2: () => setMode("blink"), 3: () => setMode("overlay"), 4: () => setMode("difference"),
  " ": () => { if (state.mode === "blink" && viewer().a) { viewer().stop(); viewer().flip(); } },
  m: () => toggle("points"), o: () => toggle("stored"), i: () => toggle("negative"), r: reset,
  "+": () => viewer().a && viewer().zoom(1.25), "=": () => viewer().a && viewer().zoom(1.25), "-": () => viewer().a && viewer().zoom(0.8),
  "[": () => other(-1), "]": () => other(1), PageUp: () => slice(1), PageDown: () => slice(-1),
};
const slice = (by) => viewer() === volumes && volumes.a && volumes.step(by);

document.addEventListener("keydown", (event) => {
  const where = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const writes = where.matches("textarea, select, input:not([type=checkbox])");
  if (event.key === "Escape") {
    showQueue(false);
    stage.focus();
    return;
  }
  if (writes) return;
  if (event.key === " " && where.matches("button, summary, input")) return;
  if (where === stage && ARROWS[event.key]) {
    const [dx, dy] = ARROWS[event.key];
    if (event.shiftKey) viewer().a && viewer().tune(dx * 12, dy * 12);
    else if (viewer().a) viewer().pan(viewer() === films ? -dx * 40 : dx, viewer() === films ? -dy * 40 : dy);
    event.preventDefault();
    return;
  }
  if (where.matches("#lines, #lines *") && ["ArrowUp", "ArrowDown", "PageUp", "PageDown"].includes(event.key)) return;
  const does = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does || (event.repeat && "sduwz".includes(event.key.toLowerCase()))) return;
  event.preventDefault();
  does();
});

function other(by) {
  const pairs = state.card?.pairs || [];
  if (pairs.length < 2) return;
  const at = pairs.indexOf(pairOf(state.card, state.left, state.right));
  const pair = pairs[(at + by + pairs.length) % pairs.length];
  state.left = state.card.left.find((i) => i.key === pair.a);
  state.right = state.card.right.find((i) => i.key === pair.b);
  showCard(state.card, false);
  look();
}

function jump() {
  const dialog = byId("jump");
  byId("number").max = queue.total;
  byId("number").value = queue.number() || 1;
  dialog.showModal();
  byId("number").select();
}
byId("jump-form").addEventListener("submit", attempt(async () => {
  const key = await queue.jump(Number(byId("number").value));
  if (key) await open(key);
}));

function showQueue(on) {
  if (byId("queue").classList.contains("open") === on) return;
  byId("queue").classList.toggle("open", on);
  byId("open-queue").setAttribute("aria-expanded", String(on));
}

// ---- buttons

for (const button of document.querySelectorAll("[data-word]")) button.addEventListener("click", () => judge(button.dataset.word));
for (const button of document.querySelectorAll(".tools [data-mode]")) button.addEventListener("click", () => setMode(button.dataset.mode));
for (const button of document.querySelectorAll("[data-drag]")) button.addEventListener("click", () => setDrag(button.dataset.drag));
byId("undo").addEventListener("click", undo);
byId("back").addEventListener("click", () => step(-1));
byId("on").addEventListener("click", () => step(1));
byId("agree").addEventListener("click", () => toggle("points"));
byId("lie").addEventListener("click", () => toggle("stored"));
byId("negative").addEventListener("click", () => toggle("negative"));
byId("reset").addEventListener("click", reset);
byId("save-note").addEventListener("click", () => state.card?.word && judge(state.card.word, true));
byId("open-keys").addEventListener("click", () => byId("keys").showModal());
byId("open-queue").addEventListener("click", () => showQueue(!byId("queue").classList.contains("open")));
byId("close-queue").addEventListener("click", () => { showQueue(false); byId("open-queue").focus(); });
byId("middle").addEventListener("pointerdown", () => showQueue(false));
byId("open-summary").addEventListener("click", attempt(async () => {
  panel.summary(await get("/api/summary"), state.run);
  byId("summary").showModal();
}));
byId("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme.startsWith("dark") || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("leakscan-theme", document.documentElement.dataset.theme);
});

// ---- start

async function start() {
  const theme = localStorage.getItem("leakscan-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  state.run = await get("/api/run");
  byId("reviewer").textContent = `${state.run.reviewer}${state.run.blind ? ", blind" : ""}`;
  document.title = `leakscan review: ${state.run.datasets.slice(0, 3).join(", ")}`;
  queue.prepare(state.run);
  told();
  outbox.send();
  await queue.load();
  const asked = location.hash.slice(1);
  const first = /^[0-9a-f]{16}$/.test(asked) ? asked : queue.lines[0]?.key;
  if (first) await open(first);
  else fill(byId("title"), "This run has no pair to look at.");
  document.body.dataset.ready = "yes";
}

start().catch((error) => {
  byId("trouble").hidden = false;
  byId("trouble").textContent = error instanceof Refusal ? error.message : GONE;
});
