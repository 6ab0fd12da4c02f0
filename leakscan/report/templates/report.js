"use strict";
/* Filters and sorts the cards of the page. Without it everything is shown, leaks first, each by probability. */
const form = document.getElementById("filters");
const list = document.getElementById("cards");
const count = document.getElementById("count");
const lower = (node) => node.textContent.toLowerCase();

const cards = [...list.children].map((node, order) => {
  const words = new Map();
  for (const person of node.querySelectorAll(".person")) {
    const who = lower(person.querySelector("h4"));
    for (const figure of person.querySelectorAll("figure")) words.set(figure.dataset.n, who + " " + lower(figure.querySelector("figcaption")));
  }
  const pairs = [...node.querySelectorAll(".pair")].map((pair) => ({
    node: pair,
    ...pair.dataset,
    p: pair.dataset.p === "" ? null : Number(pair.dataset.p),
    text: words.get(pair.dataset.a) + " " + words.get(pair.dataset.b),
  }));
  const known = pairs.map((pair) => pair.p).filter((p) => p !== null);
  return { node, order, pairs, images: words.size, p: known.length ? Math.max(...known) : null, text: pairs[0].text };
});

const unknownLast = (p, sign) => (p === null ? 2 : sign * p);
const ORDERS = {
  "": (a, b) => a.order - b.order,
  likely: (a, b) => unknownLast(a.p, -1) - unknownLast(b.p, -1) || a.order - b.order,
  unlikely: (a, b) => unknownLast(a.p, 1) - unknownLast(b.p, 1) || a.order - b.order,
  large: (a, b) => b.images - a.images || a.order - b.order,
  name: (a, b) => a.text.localeCompare(b.text, undefined, { numeric: true }) || a.order - b.order,
};

let order = "";
let shown = cards;

function percent(field, otherwise) {
  const value = Number(field.value);
  return field.value === "" || Number.isNaN(value) ? otherwise : value / 100;
}

function fits(asked, pair) {
  if (asked.relation && pair.relation !== asked.relation) return false;
  if (asked.decision && pair.decision !== asked.decision) return false;
  if (asked.couple && pair.couple !== asked.couple) return false;
  if (asked.least > 0 || asked.most < 1) {
    if (pair.p === null || pair.p < asked.least || pair.p > asked.most) return false;
  }
  return asked.words.every((word) => pair.text.includes(word));
}

function apply() {
  const fields = form.elements;
  const asked = {
    relation: fields.relation.value,
    decision: fields.decision.value,
    couple: fields.couple.value,
    least: percent(fields.least, 0),
    most: percent(fields.most, 1),
    words: fields.text.value.toLowerCase().split(/\s+/).filter(Boolean),
  };
  if (fields.order.value !== order) {
    order = fields.order.value;
    cards.sort(ORDERS[order]);
    list.append(...cards.map((card) => card.node));
  }
  let pairs = 0;
  let all = 0;
  shown = cards.filter((card) => {
    let some = false;
    for (const pair of card.pairs) {
      const hidden = !fits(asked, pair);
      if (pair.node.hidden !== hidden) pair.node.hidden = hidden;
      if (!hidden) pairs += 1;
      some = some || !hidden;
    }
    all += card.pairs.length;
    if (card.node.hidden === some) card.node.hidden = !some;
    return some;
  });
  const number = (n) => n.toLocaleString("en");
  count.textContent = pairs === 0 ? "No pair fits." : `${number(pairs)} of ${number(all)} pairs, ${number(shown.length)} of ${number(cards.length)} cards`;
}

function go(step) {
  const visible = shown.map((card) => card.node);
  if (!visible.length) return;
  const at = visible.findIndex((node) => node.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : visible.length - 1) : Math.min(visible.length - 1, Math.max(0, at + step));
  visible[next].focus({ preventScroll: true });
  visible[next].scrollIntoView({ block: "start" });
}

let timer = 0;
form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(apply, 80);
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(apply, 0));
for (const link of document.querySelectorAll("a[data-couple]")) {
  link.addEventListener("click", () => {
    form.reset();
    form.elements.couple.value = link.dataset.couple;
    setTimeout(apply, 0);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    form.reset();
    document.activeElement.blur();
  } else if (typing) {
    return;
  } else if (event.key === "/") {
    event.preventDefault();
    form.elements.text.focus();
  } else if (event.key === "j") go(1);
  else if (event.key === "k") go(-1);
});
form.hidden = false;
apply();
