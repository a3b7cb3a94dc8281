// Mouse, touch, pen, wheel and keys on the picture. The line follows whoever presses on it, or anywhere while the whole
// picture is seen; a picture that is zoomed in follows instead. Two fingers zoom.

const reach = { mouse: 14, pen: 18, touch: 30 }; // pixels from the line that still take hold of it
const step = 0.02;

/** control lets `stage` (the element over the picture) and `handle` (the line's slider) change a View. onChange is called after. */
export function control(stage, handle, view, onChange) {
  new Pointers(stage, view, onChange);
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    const { x, y } = place(stage, event);
    // A trackpad's pinch comes as a wheel with ctrl, in small steps.
    view.zoomAt(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), x, y);
    onChange();
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    const { x, y } = place(stage, event);
    if (view.zoom > 1) view.reset();
    else view.zoomAt(3, x, y);
    onChange();
  });
  handle.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !moveLine(view, event)) return;
    event.preventDefault();
    event.stopPropagation();
    onChange();
  });
}

// moveLine is what the keys of a slider do (WAI-ARIA authoring practices, slider pattern).
function moveLine(view, { key, shiftKey }) {
  const far = shiftKey ? 5 : 1;
  const to = {
    ArrowLeft: view.split - step * far, ArrowDown: view.split - step * far,
    ArrowRight: view.split + step * far, ArrowUp: view.split + step * far,
    PageDown: view.split - 5 * step, PageUp: view.split + 5 * step, Home: 0, End: 1,
  }[key];
  if (to === undefined) return false;
  view.setSplit(to);
  return true;
}

// place returns where in the element an event is, 0 to 1.
function place(element, { clientX, clientY }) {
  const box = element.getBoundingClientRect();
  return { x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height, width: box.width };
}

class Pointers {
  #down = new Map(); // pointers that are pressed, by id: where they were last
  #holds = null; // "line" or "picture"

  constructor(stage, view, onChange) {
    Object.assign(this, { stage, view, onChange });
    stage.addEventListener("pointerdown", (e) => this.#press(e));
    stage.addEventListener("pointermove", (e) => this.#move(e));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (e) => this.#release(e));
  }

  #press(event) {
    if (event.button !== 0) return;
    this.stage.setPointerCapture(event.pointerId);
    const at = place(this.stage, event);
    this.#down.set(event.pointerId, at);
    if (this.#down.size > 1) {
      this.#hold("picture");
      return;
    }
    const near = Math.abs(at.x - this.view.split) * at.width <= (reach[event.pointerType] ?? reach.mouse);
    const line = this.stage.dataset.mode === "compare" && (near || this.view.zoom === 1);
    this.#hold(line ? "line" : "picture");
    // A finger that is put down to scroll the page must not move the line; it does once it moves sideways.
    if (line && event.pointerType !== "touch") this.#to(at);
  }

  #move(event) {
    const last = this.#down.get(event.pointerId);
    if (!last) return;
    const at = place(this.stage, event);
    if (this.#down.size === 2) this.#pinch(event.pointerId, last, at);
    else if (this.#holds === "line") this.#to(at);
    else this.view.pan(at.x - last.x, at.y - last.y);
    this.#down.set(event.pointerId, at);
    this.onChange();
  }

  #pinch(id, last, at) {
    const [other] = [...this.#down].filter(([key]) => key !== id).map(([, p]) => p);
    const span = (p) => Math.hypot(p.x - other.x, p.y - other.y);
    const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
    this.view.pan((at.x - last.x) / 2, (at.y - last.y) / 2);
    if (span(last) > 0.01) this.view.zoomAt(span(at) / span(last), middle.x, middle.y);
  }

  #release(event) {
    this.#down.delete(event.pointerId);
    if (this.#down.size === 0) this.#hold(null);
  }

  #to(at) {
    this.view.setSplit(at.x);
    this.onChange();
  }

  #hold(what) {
    this.#holds = what;
    this.stage.classList.toggle("dragging", what === "line");
    this.stage.classList.toggle("panning", what === "picture" && this.view.zoom > 1);
  }
}
