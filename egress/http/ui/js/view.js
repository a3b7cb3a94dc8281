// What part of the picture is seen, and where the two sides meet. All numbers are shares of the width or height, 0 to 1,
// so they hold whatever the size of the window. No DOM: tested by itself.

export const maxZoom = 16;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class View {
  split = 0.5; // of the window, from the left
  zoom = 1;
  x = 0.5; // the point of the picture in the middle of the window
  y = 0.5;

  /** setSplit moves the line between the sides. */
  setSplit(split) {
    this.split = clamp(split, 0, 1);
  }

  /** zoomAt multiplies the zoom; the point of the picture under (px, py) of the window stays where it is. */
  zoomAt(factor, px = 0.5, py = 0.5) {
    const { x, y } = this.pointAt(px, py);
    this.zoom = clamp(this.zoom * factor, 1, maxZoom);
    this.#put(x - (px - 0.5) / this.zoom, y - (py - 0.5) / this.zoom);
  }

  /** pan moves the picture by a share of the window. */
  pan(dx, dy) {
    this.#put(this.x - dx / this.zoom, this.y - dy / this.zoom);
  }

  /** reset shows the whole picture. */
  reset() {
    this.zoom = 1;
    this.#put(0.5, 0.5);
  }

  /** pointAt returns the point of the picture at a point of the window. */
  pointAt(px, py) {
    return { x: this.x + (px - 0.5) / this.zoom, y: this.y + (py - 0.5) / this.zoom };
  }

  /** part returns which rectangle of a w×h picture fills the window's columns from `from` to `to`. */
  part(w, h, from = 0, to = 1) {
    const left = this.pointAt(from, 0);
    return { x: left.x * w, y: left.y * h, w: ((to - from) / this.zoom) * w, h: h / this.zoom };
  }

  // put keeps the window inside the picture.
  #put(x, y) {
    const half = 0.5 / this.zoom;
    this.x = clamp(x, half, 1 - half);
    this.y = clamp(y, half, 1 - half);
  }
}
