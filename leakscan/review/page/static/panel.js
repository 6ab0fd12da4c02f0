// What stands beside the pictures: verdicts so far, evidence as a waterfall, facts of both images.
import { breakable, byId, fill, make, percent } from "./dom.js";

const SCALE = 12; // powers of ten on either side of the middle

export function opinions(card) {
  const box = byId("opinions");
  const said = card.opinions;
  const parts = [];
  if (card.revealed) parts.push(make("p", {}, make("strong", {}, card.revealed)));
  if (said.length) {
    const disputed = card.state === "disputed";
    parts.push(make("h3", {}, disputed ? "Verdicts differ" : "Verdicts"));
    parts.push(
      make(
        "ul",
        {},
        ...said.map((v) =>
          make(
            "li",
            { class: disputed ? "dispute" : "" },
            make("strong", { class: `word-${v.word}` }, v.word),
            ` ${v.mine ? "by you" : `by ${v.by}`}, ${v.at.replace("T", " ").slice(0, 16)}`,
            v.pair ? ", of two images only" : "",
            v.until ? `, until ${v.until}` : "",
            v.reason ? make("div", {}, `Wanted: ${v.reason}`) : null,
            v.note ? make("div", {}, v.note) : null,
          ),
        ),
      ),
    );
  }
  fill(box, ...parts);
}

export function evidence(card, pair) {
  const box = byId("evidence");
  if (card.hidden && !card.revealed) {
    const blind = card.word ? "" : "Scores and labels are hidden until you have said what you see.";
    fill(box, blind ? make("p", { class: "soft" }, blind) : null);
    return;
  }
  if (!pair || !pair.relation) {
    const words = pair || card.revealed ? "" : "The run has no finding about these two images; it is about other images of the two people.";
    fill(box, words ? make("p", { class: "soft" }, words) : null);
    return;
  }
  const altered = pair.altered.length ? ` (${pair.altered.join(", ")})` : "";
  fill(
    box,
    make("h3", {}, "What the run says"),
    make(
      "p",
      {},
      make("strong", {}, pair.decision),
      `: ${pair.words}${altered}`,
      pair.probability === null ? "" : make("span", {}, ", probability ", make("strong", {}, percent(pair.probability))),
    ),
    pair.waterfall.length ? make("ul", { class: "bars" }, ...bars(pair.waterfall)) : null,
    make("ul", { class: "why-list" }, ...pair.evidence.map((sentence) => make("li", {}, sentence))),
  );
}

function bars(steps) {
  const width = (power) => (50 * Math.min(Math.abs(power), SCALE)) / SCALE;
  return steps.map((step) => {
    const track = make("span", { class: "track", "aria-hidden": "true" });
    if (step.power === null) {
      const bar = make("span", { class: step.label === "Together" ? "bar" : "bar proof" });
      if (step.label === "Together") place(bar, 0, step.total, width);
      track.append(bar);
    } else {
      const bar = make("span", { class: "bar" });
      place(bar, step.total - step.power, step.total, width);
      track.append(bar);
    }
    return make("li", {}, make("span", {}, step.label), track, make("span", { class: "words" }, step.text));
  });
}

function place(bar, from, to, width) {
  const at = (power) => 50 + Math.sign(power) * width(power);
  const [left, right] = [at(Math.min(from, to)), at(Math.max(from, to))];
  bar.style.left = `${left}%`;
  bar.style.width = `${Math.max(right - left, 0.6)}%`;
  bar.classList.toggle("against", to < from);
}

export function facts(card, left, right) {
  const box = byId("image-facts");
  if (!left?.facts || !right?.facts) {
    fill(box);
    return;
  }
  const labels = [...new Set([...Object.keys(left.facts), ...Object.keys(right.facts)])];
  const rows = labels.map((label) => {
    const [a, b] = [left.facts[label] || "", right.facts[label] || ""];
    const declared = [a, b].every((text) => text && text !== "not declared");
    const differs = declared && a !== b && ["Subject", "Study", "Date", "Kind"].includes(label) ? "differs" : "";
    return make("tr", {}, make("th", { scope: "row" }, label), ...[a, b].map((text) => make("td", { class: differs }, ...(label === "File" ? breakable(text) : [text]))));
  });
  const head = make("tr", {}, make("td"), make("th", { scope: "col" }, "Left"), make("th", { scope: "col" }, "Right"));
  fill(
    box,
    make("h3", {}, "The two images"),
    ...card.facts.map((sentence) => make("p", {}, sentence)),
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
    card.group ? make("p", { class: "soft" }, `They stand in group ${card.group.id} of ${card.group.images} linked images.`) : null,
  );
}

export function summary(found, run) {
  const box = byId("summary-words");
  const people = Object.entries(found.reviewers);
  const words = ["same", "different", "unsure", "wanted"];
  const parts = [];
  if (!people.length) parts.push(make("p", {}, "Nobody has judged anything yet."));
  else {
    const head = make("tr", {}, make("th", { scope: "col" }, "Reviewer"), ...words.map((w) => make("th", { scope: "col" }, w)));
    const rows = people.map(([who, counts]) => make("tr", {}, make("th", { scope: "row" }, who), ...words.map((w) => make("td", {}, String(counts[w] || 0)))));
    parts.push(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
  }
  for (const pair of found.agreement) {
    const both = `${pair.one} and ${pair.other} have judged ${pair.both} of the same things`;
    if (!pair.both) parts.push(make("p", {}, `${both}.`));
    else {
      const kappa = pair.kappa === null ? "kappa says nothing, because both used one word only" : `Cohen's kappa ${pair.kappa.toFixed(2)}`;
      parts.push(make("p", {}, `${both}: they agree in ${Math.round((100 * pair.equal) / pair.both)} %, ${kappa}.`));
    }
  }
  if (found.disputed.length) parts.push(make("p", {}, `${found.disputed.length} disputed. The filter “Judged: disputed” lists them.`));
  if (found.gold) parts.push(...gold(found.gold));
  if (run.blind) parts.push(make("p", { class: "soft" }, "The review is blind: what others said of pairs that you have not judged is not counted here."));
  fill(box, ...parts);
}

function gold(found) {
  const said = (answer, other) => {
    const { judged, wrong } = found[answer];
    if (!judged) return `None of one answer, ${answer}, was judged yet.`;
    return `Of ${judged} that are truly ${answer}, you called ${wrong} ${other} (${Math.round((100 * wrong) / judged)} %).`;
  };
  return [
    make("h3", {}, "Hidden pairs with known answers"),
    make("p", {}, `${found.judged} of ${found.hidden} judged, ${found.unsure} of them unsure.`),
    make("p", {}, said("same", "different")),
    make("p", {}, said("different", "same")),
  ];
}
