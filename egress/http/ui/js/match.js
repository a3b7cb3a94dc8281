// Finds the original and the enhanced picture of one frame. Both streams carry the same RTP time for it (RAVE uses one
// offset for both), but they come over two connections and the enhanced one later. So frames wait here until their
// partner comes. No DOM: a frame is whatever the caller has, and is given back through release when it is not needed.

export const ORIGINAL = 0;
export const ENHANCED = 1;

const jump = 10 * 90000; // RTP ticks: farther apart than any delay, so another timeline

/** later returns how many ticks a is after b; RTP time wraps at 32 bits (RFC 3550 section 5.1). */
export function later(a, b) {
  return (a - b) | 0;
}

export class Matcher {
  #rings = [[], []];
  #shown = null; // RTP time of the last pair
  #matchedAt = -Infinity;
  #cameAt = [-Infinity, -Infinity];

  /**
   * capacity: frames that may wait on each side. patience: how long, in milliseconds, only pairs are shown before single
   * pictures are shown again (one side does not come at all, or what comes has no partner).
   */
  constructor({ capacity = 48, patience = 400, release = () => {} } = {}) {
    Object.assign(this, { capacity, patience, release });
  }

  /**
   * add takes a frame and returns what to show now, or null: {original, enhanced, rtp, matched}. The frames of a pair that
   * matches are the caller's from then on. Single pictures, of which one may be null, are lent for the moment: their
   * partners may come yet.
   */
  add(side, rtp, frame, now) {
    this.#cameAt[side] = now;
    if (this.#shown !== null && Math.abs(later(rtp, this.#shown)) > jump) this.reset();
    if (this.#shown !== null && later(rtp, this.#shown) <= 0) {
      this.release(frame); // its time is over
      return null;
    }
    const mine = this.#rings[side];
    const newest = mine.at(-1);
    if (newest && Math.abs(later(rtp, newest.rtp)) > jump) this.#drop(side, mine.length);
    mine.push({ rtp, frame });
    if (mine.length > this.capacity) this.#drop(side, mine.length - this.capacity);
    const partner = this.#rings[1 - side].find((f) => f.rtp === rtp);
    if (partner) return this.#pair(side, rtp, frame, partner.frame, now);
    return now - this.#matchedAt > this.patience ? this.#single(side, now) : null;
  }

  /** waiting is how many frames each side holds. */
  get waiting() {
    return this.#rings.map((ring) => ring.length);
  }

  /** reset forgets one side, or both: its connection is another one now. */
  reset(side) {
    for (const s of side === undefined ? [ORIGINAL, ENHANCED] : [side]) this.#drop(s, this.#rings[s].length);
    this.#shown = null;
  }

  #pair(side, rtp, frame, partner, now) {
    for (const s of [ORIGINAL, ENHANCED]) {
      const ring = this.#rings[s];
      const upTo = ring.findIndex((f) => f.rtp === rtp);
      this.#drop(s, upTo);
      ring.shift(); // the caller's from here on
    }
    this.#shown = rtp;
    this.#matchedAt = now;
    const [original, enhanced] = side === ORIGINAL ? [frame, partner] : [partner, frame];
    return { original, enhanced, rtp, matched: true };
  }

  // single shows the newest of a side that has no partners. The enhanced side goes first: if both come and never match, the
  // picture that people want is the live one.
  #single(side, now) {
    const { rtp, frame } = this.#rings[side].at(-1);
    if (side === ENHANCED) {
      const before = this.#rings[ORIGINAL].findLast((f) => later(f.rtp, rtp) < 0);
      return { original: before?.frame ?? null, enhanced: frame, rtp, matched: false };
    }
    if (now - this.#cameAt[ENHANCED] <= this.patience) return null;
    return { original: frame, enhanced: null, rtp, matched: false };
  }

  #drop(side, count) {
    for (const { frame } of this.#rings[side].splice(0, count)) this.release(frame);
  }
}
