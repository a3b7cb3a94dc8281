// A video that comes back by itself: one WHEP connection after the other into one <video>, until stop.
import { Backoff } from "./backoff.js";
import { Problem } from "./api.js";
import { Connection } from "./connection.js";

// Without a new picture while the camera delivers the connection is dead, whatever it says. The first may take longer.
const silentFor = 5000;
const firstWithin = 15000;

export class Player {
  #backoff = new Backoff();
  #connection = null;
  #open = false; // media can flow over it
  #timer = 0;
  #watch = 0;
  #lastPicture = 0;
  #callback = 0;
  #stopped = true;

  /** given names what RAVE makes for this viewer in place of the stream as it is; empty: nothing, or nothing plays. */
  given = [];

  /** state is {phase: "connecting" | "playing" | "waiting", problem}; problem is that of the last attempt. */
  state = { phase: "connecting", problem: null };

  /**
   * on.frame(now, metadata) for each picture, on.connect() when another connection begins, on.state() when state or given
   * changes.
   * expected() says whether pictures should be coming.
   */
  constructor(video, url, { audio = false, expected = () => true, on }) {
    Object.assign(this, { video, url, audio, expected, on });
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#watch = setInterval(() => this.#check(), 1000);
    this.#pictures();
    this.#connect();
  }

  stop() {
    this.#stopped = true;
    this.#open = false;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.video.cancelVideoFrameCallback(this.#callback);
    this.#connection?.close();
    this.#connection = null;
    this.video.srcObject = null;
  }

  /** retry does not wait for the next attempt: the network is back, or somebody asks. */
  retry() {
    if (this.#stopped || this.state.phase !== "waiting") return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** look has given brought up to date. */
  look() {
    this.#connection?.look();
  }

  stats() {
    return this.#connection?.stats() ?? Promise.resolve(new Map());
  }

  #connect() {
    const stream = new MediaStream();
    this.video.srcObject = stream;
    this.#lastPicture = performance.now();
    this.given = [];
    this.on.connect();
    this.#set("connecting", this.state.problem);
    this.#connection = new Connection(this.url, {
      failed: "The video cannot be played",
      prepare: (pc) => {
        for (const kind of this.audio ? ["video", "audio"] : ["video"]) pc.addTransceiver(kind, { direction: "recvonly" });
      },
      on: {
        track: (track) => {
          stream.addTrack(track);
          this.video.play().catch(() => {}); // muted video may always play; sound begins with a click
        },
        given: (names) => {
          this.given = names;
          this.on.state();
        },
        open: () => {
          this.#open = true;
          this.#lastPicture = performance.now();
        },
        end: (problem) => this.#again(problem),
      },
    });
  }

  #again(problem) {
    this.#connection?.close();
    this.#connection = null;
    this.#open = false;
    if (this.#stopped) return;
    this.#set("waiting", problem);
    if (problem.denied) return; // until somebody asks, or the stream comes back
    this.#timer = setTimeout(() => this.#connect(), this.#backoff.next());
  }

  // A track that ends shows a last picture, a black one if there was none, which Chromium tells of like of any other: it is
  // not from RAVE, and what went wrong is not over.
  #pictures() {
    const next = (now, metadata) => {
      if (this.#open) this.#came(now, metadata);
      this.#callback = this.video.requestVideoFrameCallback(next);
    };
    this.#callback = this.video.requestVideoFrameCallback(next);
  }

  #came(now, metadata) {
    this.#lastPicture = performance.now();
    if (this.state.phase !== "playing") {
      this.#backoff.reset();
      this.#set("playing", null);
    }
    this.on.frame(now, metadata);
  }

  #check() {
    if (!this.expected() || document.hidden) {
      this.#lastPicture = performance.now(); // hidden pages get no pictures
    } else if (this.#connection && performance.now() - this.#lastPicture > (this.state.phase === "playing" ? silentFor : firstWithin)) {
      this.#again(new Problem({ title: "No picture comes any more" }));
    }
  }

  #set(phase, problem) {
    this.state = { phase, problem };
    this.on.state();
  }
}
