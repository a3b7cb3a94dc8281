// How long to wait before the next attempt: doubling from min to max, ±20 %, so that the viewers of a server that
// restarts do not all come back at once. No DOM, no timers: tested by itself.
export class Backoff {
  #next;

  constructor({ min = 500, max = 15000, random = Math.random } = {}) {
    Object.assign(this, { min, max, random });
    this.#next = min;
  }

  /** next returns milliseconds, more each time. */
  next() {
    const base = this.#next;
    this.#next = Math.min(base * 2, this.max);
    return Math.round(base * (0.8 + 0.4 * this.random()));
  }

  /** reset is for an attempt that worked. */
  reset() {
    this.#next = this.min;
  }
}
