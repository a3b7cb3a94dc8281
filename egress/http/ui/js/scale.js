// Where the points of a sparkline lie. No DOM: tested by itself.

/** A series keeps the last `length` values, one a second. */
export class Series {
  values = [];

  constructor(length = 60) {
    this.length = length;
  }

  /** add takes null for a moment without a value, which becomes a gap. */
  add(value) {
    this.values.push(Number.isFinite(value) ? value : null);
    if (this.values.length > this.length) this.values.shift();
  }

  get last() {
    return this.values.at(-1) ?? null;
  }
}

/**
 * range chooses the bottom and the top of a sparkline. It never zooms in closer than a fifth of the value, so that a
 * steady stream looks steady and noise does not look like trouble; and it stands on zero if zero is near.
 */
export function range(values) {
  const known = values.filter((v) => v !== null);
  if (known.length === 0) return { low: 0, high: 1 };
  let low = Math.min(...known);
  let high = Math.max(...known);
  const least = Math.max(high * 0.2, 1e-9);
  if (high - low < least) {
    const middle = (high + low) / 2;
    [low, high] = [middle - least / 2, middle + least / 2];
  }
  if (low < (high - low) * 1.5) low = 0;
  return { low, high };
}

/** lines returns the pieces of a sparkline, each a list of [x, y] in a w×h box, newest at the right edge; gaps part them. */
export function lines(values, length, w, h, pad = 1.5) {
  const { low, high } = range(values);
  const step = w / Math.max(1, length - 1);
  const first = w - step * (values.length - 1);
  const pieces = [];
  let piece = null;
  values.forEach((v, i) => {
    if (v === null) {
      piece = null;
      return;
    }
    if (!piece) pieces.push((piece = []));
    piece.push([first + i * step, h - pad - ((v - low) / (high - low)) * (h - 2 * pad)]);
  });
  return pieces;
}

/** path writes pieces as the d attribute of an SVG path. */
export function path(pieces) {
  const at = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  return pieces.map((p) => "M" + p.map(at).join("L") + (p.length === 1 ? "h.1" : "")).join("");
}
