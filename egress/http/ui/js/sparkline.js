// A small line of the last minute.
import { svg } from "./dom.js";
import { lines, path, Series } from "./scale.js";

const width = 120;
const height = 28;

export class Sparkline {
  #series = new Series(60);
  #line = svg("path", { class: "spark-line", "vector-effect": "non-scaling-stroke" });
  #area = svg("path", { class: "spark-area" });

  constructor() {
    // Decoration: the number beside it is what a screen reader needs.
    this.node = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.#area, this.#line);
  }

  add(value) {
    this.#series.add(value);
    const pieces = lines(this.#series.values, this.#series.length, width, height);
    this.#line.setAttribute("d", path(pieces));
    this.#area.setAttribute("d", pieces.filter((p) => p.length > 1).map((p) => `${path([p])}L${p.at(-1)[0].toFixed(1)} ${height}L${p[0][0].toFixed(1)} ${height}Z`).join(""));
  }
}
