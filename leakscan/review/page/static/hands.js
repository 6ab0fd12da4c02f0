// Mouse and fingers on the pictures: drag, pinch, wheel and double click.
export function handleStage({ stage, viewer, films, volumes, reset, drag }) {
  const fingers = new Map();
  stage.addEventListener("pointerdown", (event) => {
    if (!event.target.matches("canvas")) return;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY, canvas: event.target, button: event.button, shift: event.shiftKey, moved: 0 });
  });
  stage.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger || !viewer().a) return;
    const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y];
    const others = [...fingers.values()].filter((other) => other !== finger);
    if (others.length === 1) {
      const span = (x, y) => Math.hypot(x - others[0].x, y - others[0].y) || 1;
      viewer().zoom(span(event.clientX, event.clientY) / span(finger.x, finger.y), null);
      if (viewer() === films) films.pan(dx / 2, dy / 2);
    } else {
      const pans = finger.shift || finger.button === 2 || finger.button === 1 || drag() === "pan";
      finger.moved += Math.abs(dx) + Math.abs(dy);
      if (viewer() === volumes && pans) pointAt(event, finger.canvas);
      else if (pans) films.pan(dx, dy);
      else viewer().tune(dx, dy);
    }
    Object.assign(finger, { x: event.clientX, y: event.clientY });
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => {
      const finger = fingers.get(event.pointerId);
      fingers.delete(event.pointerId);
      if (finger && finger.moved < 4 && viewer() === volumes && volumes.a) pointAt(event, finger.canvas);
    });
  }
  function pointAt(event, canvas) {
    const box = canvas.getBoundingClientRect();
    volumes.point(canvas, event.clientX - box.left, event.clientY - box.top);
  }
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("dblclick", reset);
  stage.addEventListener("wheel", (event) => {
    if (!event.target.matches("canvas") || !viewer().a) return;
    event.preventDefault();
    if (viewer() === volumes && !event.ctrlKey) {
      const pane = volumes.paneAt(event.target);
      if (pane) volumes.move(pane.plane.through, -Math.sign(event.deltaY));
      return;
    }
    const box = event.target.getBoundingClientRect();
    viewer().zoom(Math.exp(-event.deltaY * 0.0015), { canvas: event.target, x: event.clientX - box.left, y: event.clientY - box.top });
  }, { passive: false });
}
