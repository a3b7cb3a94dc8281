// Draws the original and the enhanced picture of the same frame into one canvas, parted by a line.
//
// Two <video> elements behind the canvas play the two streams. Each picture that one of them shows is copied, since its
// partner comes later over the other connection; the Matcher says which two belong together, and those are drawn, again
// and again as the view changes, until the next two are there. Copies are canvases that are used over and over.
import { ENHANCED, Matcher, ORIGINAL } from "./match.js";

const mayWait = 96 << 20; // bytes of copies that wait on each side, whatever the size of the pictures
const mostPixels = 2560; // across; more than that nobody sees, and phones run out of memory

export class Compare {
  #matcher;
  #spare = [[], []]; // copies that are free, by side
  #pair = { original: null, enhanced: null };
  #drawing = 0; // the request to draw that is under way
  #news = null; // what onPair is to be told then
  #context;

  /** frozen keeps the pictures that are seen. mode is "compare", "enhanced" or "original". */
  frozen = false;
  mode = "compare";

  /** onPair({rtp, matched}) is called for each pair of pictures when it has been drawn. */
  constructor(canvas, view, onPair = () => {}) {
    Object.assign(this, { canvas, view, onPair });
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#matcher = new Matcher({ release: (copy) => this.#spare[copy.side].push(copy) });
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /** picture takes the picture that a video shows at this moment. metadata is that of requestVideoFrameCallback. */
  picture(side, video, now, metadata) {
    if (this.frozen || !video.videoWidth) return;
    // Without RTP times (an old browser) nothing can be matched: each side shows its newest.
    const rtp = metadata.rtpTimestamp ?? Math.round(metadata.mediaTime * 90000);
    const found = this.#matcher.add(side, rtp, this.#copy(side, video), now);
    if (!found) return;
    for (const name of ["original", "enhanced"]) this.#keep(name, found.matched ? found[name] : this.#again(found[name]));
    this.redraw({ rtp: found.rtp, matched: found.matched });
  }

  /** restart is called when a side's connection is another one. What is seen stays. */
  restart(side) {
    this.#matcher.reset(side);
  }

  /** redraw draws before the next refresh of the screen, once however often it is called until then. */
  redraw(pair = null) {
    this.#news = pair ?? this.#news;
    this.#drawing ||= requestAnimationFrame(() => {
      this.#drawing = 0;
      this.#draw();
      if (this.#news) this.onPair(this.#news);
      this.#news = null;
    });
  }

  /** empty reports whether there has been no picture yet. */
  get empty() {
    return !this.#pair.original && !this.#pair.enhanced;
  }

  // keep takes the place of a side's picture. A side that brings none keeps the one it has: the last frame is better
  // than a black half.
  #keep(name, copy) {
    if (!copy) return;
    const old = this.#pair[name];
    if (old) this.#spare[old.side].push(old);
    this.#pair[name] = copy;
  }

  // again copies a copy that is lent.
  #again(copy) {
    return copy && this.#paint(copy.side, copy.canvas, copy.canvas.width, copy.canvas.height);
  }

  #copy(side, video) {
    const { videoWidth: width, videoHeight: height } = video;
    this.#matcher.capacity = Math.max(4, Math.min(60, Math.floor(mayWait / (4 * width * height))));
    return this.#paint(side, video, width, height);
  }

  #paint(side, source, width, height) {
    const spare = this.#spare[side];
    let copy = spare.pop();
    if (!copy || copy.canvas.width !== width || copy.canvas.height !== height) {
      spare.length = 0; // those of another size
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width, height });
      copy = { side, canvas, context: canvas.getContext("2d", { alpha: false }) };
    }
    copy.context.drawImage(source, 0, 0, width, height);
    return copy;
  }

  #draw() {
    const { width, height } = this.canvas;
    const { original, enhanced } = this.#pair;
    if (this.empty || width === 0) return;
    const sides = { original: original ?? enhanced, enhanced: enhanced ?? original };
    const middle = this.mode === "compare" ? Math.round(this.view.split * width) : this.mode === "original" ? width : 0;
    this.#context.imageSmoothingQuality = "high";
    this.#part(sides.original, 0, middle, width, height);
    this.#part(sides.enhanced, middle, width, width, height);
  }

  #part(copy, from, to, width, height) {
    if (to <= from) return;
    const { x, y, w, h } = this.view.part(copy.canvas.width, copy.canvas.height, from / width, to / width);
    this.#context.drawImage(copy.canvas, x, y, w, h, from, 0, to - from, height);
  }

  #resize() {
    const ratio = Math.min(devicePixelRatio || 1, mostPixels / Math.max(1, this.canvas.clientWidth));
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    if (width === this.canvas.width && height === this.canvas.height) return;
    Object.assign(this.canvas, { width, height });
    this.#draw(); // a canvas that changes its size is black
  }
}

export { ENHANCED, ORIGINAL };
