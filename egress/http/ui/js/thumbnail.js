// A picture of just now that renews itself while it is on the screen.
import { request } from "./api.js";
import { el, setText } from "./dom.js";

const pause = 1000; // between two pictures
const pauseAfterError = 4000;

// absence says why there is no picture of now.
function absence({ asleep, publish, input }) {
  if (asleep) return "Asleep until somebody watches";
  if (publish) return "Waiting for a publisher";
  return input.frames > 0 ? "The camera is away" : "Connecting to the camera";
}

export class Thumbnail {
  #image = el("img", { alt: "", decoding: "async" });
  #title = el("strong");
  #text = el("p", { class: "frame-text" }, this.#title);
  #seen = false;
  #timer = 0;
  #busy = false;
  #live = false;
  #denied = false; // the visitor may not watch this stream
  #stopped = false;

  constructor(name) {
    this.url = `/api/v1/streams/${encodeURIComponent(name)}/snapshot.jpg?variant=enhanced&width=`;
    this.node = el("div", { class: "frame" }, this.#image, this.#text);
    this.observer = new IntersectionObserver(([entry]) => {
      this.#seen = entry.isIntersecting;
      this.#next(0);
    });
    this.observer.observe(this.node);
  }

  /** update takes the stream's status: pictures come while it is live, and the last one is kept dimmed when it is not. */
  update(stream) {
    const live = stream.state === "online" && !stream.asleep;
    this.node.classList.toggle("old", !live);
    setText(this.#title, this.#denied ? "You may not watch this" : live ? "" : absence(stream));
    if (live !== this.#live) {
      this.#live = live;
      this.#next(0);
    }
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.observer.disconnect();
    URL.revokeObjectURL(this.#image.src);
  }

  #next(delay) {
    clearTimeout(this.#timer);
    if (this.#stopped || this.#denied || this.#busy || !this.#seen || !this.#live) return;
    this.#timer = setTimeout(() => this.#fetch(), delay);
  }

  async #fetch() {
    if (document.hidden) {
      this.#next(pause);
      return;
    }
    this.#busy = true;
    let delay = pause;
    try {
      const width = Math.min(1280, Math.ceil((this.node.clientWidth * (devicePixelRatio || 1)) / 160) * 160);
      const response = await request(this.url + width);
      await this.#show(URL.createObjectURL(await response.blob()));
    } catch (problem) { // the stream's own status says what is wrong, unless it is the visitor
      this.#denied = Boolean(problem.denied);
      delay = pauseAfterError;
    }
    this.#busy = false;
    this.#next(delay);
  }

  // show waits until the new picture is decoded, so that the old one does not flicker away.
  async #show(url) {
    const decoder = new Image();
    decoder.src = url;
    try {
      await decoder.decode();
    } catch (error) {
      URL.revokeObjectURL(url);
      throw error;
    }
    if (this.#stopped) {
      URL.revokeObjectURL(url);
      return;
    }
    const old = this.#image.src;
    this.#image.src = url;
    this.#image.classList.add("there");
    if (old) URL.revokeObjectURL(old);
  }
}
