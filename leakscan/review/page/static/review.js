// The page: which card is shown, what a key does, and what was said of it.
import { byId, fill, make, many, press } from "./dom.js";
import { film, laid } from "./kept.js";
import { listenToKeys } from "./keys.js";
import { recall, remember } from "./memory.js";
import { get, GONE, newId, post, Refusal } from "./net.js";
import { Outbox } from "./outbox.js";
import * as panel from "./panel.js";
import { pictures } from "./pictures.js";
import { Queue } from "./queue.js";
import { strip } from "./strips.js";

const AHEAD = 8;
const stage = byId("stage");
const state = { card: null, left: null, right: null, mode: "side", drag: "window", run: null };

const { look, viewer, films, volumes, setMode, toggle, setDrag, reset } = pictures(state, stage);

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

// ---- what is said, and what is on disk

const outbox = new Outbox(({ saved, answer, failed, dropped }) => {
  if (saved && !saved.word) tookBack(answer.card);
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
  if (outbox.elsewhere) sentences.unshift(`This browser also keeps ${many(outbox.elsewhere, "verdict")} of another run or reviewer; start that review again to have it written.`);
  if (waiting && outbox.trouble) sentences.unshift(`${outbox.trouble} ${many(waiting, "verdict is", "verdicts are")} kept in this browser and sent again by itself.`);
  box.hidden = !sentences.length;
  box.textContent = sentences.join(" ");
}

// Notes that were typed and not yet given with a verdict, by card: leaving a card loses none.
const drafts = new Map();
byId("note").addEventListener("input", () => state.card && drafts.set(state.card.key, byId("note").value));

async function judge(word, stay = false) {
  const card = state.card;
  if (!card) return;
  if (queue.current !== card.key) {
    say("The next pair is not shown yet.", true); // nobody judges what nobody has seen
    return;
  }
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
  drafts.delete(card.key);
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
  if (outbox.takeBack()) {
    say("Taken back before it was written.");
    told();
    return;
  }
  const id = newId();
  await outbox.add("/api/undo", { id });
  if (outbox.items.some((item) => item.body.id === id)) {
    say("Not taken back yet.", true);
    told();
  }
}

const tookBack = attempt(async (card) => {
  if (!card) return say("There is nothing to take back in this session.");
  await open(card);
  say("Taken back.");
  queue.renew(await get(`/api/card/${card}`));
});

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
    if (turn === state.turn && state.card) queue.mark(state.card.key); // that one is still shown
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
    byId("note").value = drafts.get(card.key) ?? mine?.note ?? "";
    byId("reason").value = mine?.reason || "";
    byId("until").value = mine?.until || "";
  }
  panel.opinions(card);
  showFacts();
  for (const [side, images] of [["left", card.left], ["right", card.right]]) strip(`films-${side}`, images, side, { card, shown: state[side], choose });
  if (fresh) look();
}

function pairOf(card, left, right) {
  return card.pairs.find((p) => p.a === left.key && p.b === right.key);
}

function showFacts() {
  panel.evidence(state.card, pairOf(state.card, state.left, state.right));
  panel.facts(state.card, state.left, state.right);
}

function choose(side, image) {
  state[side] = image;
  showCard(state.card, false);
  look();
}

// ---- keys

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
listenToKeys({ stage, viewer, films, escape: () => { showQueue(false); stage.focus(); }, does: KEYS });

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
  remember("leakscan-theme", document.documentElement.dataset.theme);
});

// ---- start

async function start() {
  const theme = recall("leakscan-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  state.run = await get("/api/run");
  byId("reviewer").textContent = `${state.run.reviewer}${state.run.blind ? ", blind" : ""}`;
  document.title = `leakscan review: ${state.run.datasets.slice(0, 3).join(", ")}`;
  queue.prepare(state.run);
  told();
  outbox.begin(state.run.reviewer);
  await queue.load();
  const asked = location.hash.slice(1);
  // Who comes back goes on where work is left.
  const left = queue.lines.find((line) => !line.word && line.state !== "settled") || queue.lines[0];
  const first = /^[0-9a-f]{16}$/.test(asked) ? asked : left?.key;
  if (first) await open(first);
  else fill(byId("title"), "This run has no pair to look at.");
  document.body.dataset.ready = "yes";
}

start().catch((error) => {
  byId("trouble").hidden = false;
  byId("trouble").textContent = error instanceof Refusal ? error.message : GONE;
});
