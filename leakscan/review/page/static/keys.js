// What a key does, and where it does nothing: in fields, in dialogs, and on the pictures.
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// "does" maps keys to actions; on the stage arrow keys move and tune the pictures.
export function listenToKeys({ stage, viewer, films, escape, does }) {
  document.addEventListener("keydown", (event) => {
    const where = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const writes = where.matches("textarea, select, input:not([type=checkbox])");
    if (event.key === "Escape") {
      escape();
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
    const action = does[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || (event.repeat && "sduwz".includes(event.key.toLowerCase()))) return;
    event.preventDefault();
    action();
  });
}
