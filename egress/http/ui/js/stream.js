// The page of one stream: two players into one picture, and what RAVE tells of the stream.
import { followClock, watchStreams } from "./api.js";
import { Compare, ENHANCED, ORIGINAL } from "./compare.js";
import { Details, placard } from "./details.js";
import { byId, setText } from "./dom.js";
import { capturedAt, makerAt } from "./frame.js";
import { given } from "./given.js";
import { choose, counting } from "./message.js";
import { Numbers } from "./numbers.js";
import { Player } from "./player.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";

const name = decodeURIComponent(location.pathname.slice(1));
const hiddenFor = 30000; // a page that nobody sees lets go of its streams, which cost the network and maybe a GPU

class StreamPage {
  #stream; // its status; undefined: not known yet, null: there is none
  #link = { problem: null };
  #clock = 0; // RAVE's time less ours, in milliseconds
  #screen = { presented: 0, matched: 0, glass: [] }; // since the last status
  #rtp = null; // of the picture that is seen
  #view = new View();
  #numbers = new Numbers(byId("tiles"));
  #details = new Details();
  #hiding = 0;

  constructor() {
    document.title = `${name} – RAVE`;
    setText(byId("name"), name);
    this.compare = new Compare(byId("picture"), this.#view, (pair) => this.#seen(pair));
    this.toolbar = new Toolbar({ compare: this.compare, view: this.#view, sound: byId("enhanced") });
    this.enhanced = this.#player("enhanced", ENHANCED, `/${encodeURIComponent(name)}/whep`, true);
    this.original = this.#player("original", ORIGINAL, `/${encodeURIComponent(name)}/original/whep`, false);
  }

  run() {
    watchStreams((streams) => this.#told(streams), (problem) => {
      this.#link = { problem };
      this.#say();
    });
    this.enhanced.start();
    this.original.start();
    followClock((ms) => { this.#clock = ms; }).catch(() => { /* the link's own message says it */ });
    setInterval(() => this.#count(), 1000);
    document.addEventListener("visibilitychange", () => this.#visible());
    addEventListener("pagehide", () => this.#stop());
    addEventListener("pageshow", () => this.#visible());
    addEventListener("online", () => this.#retry());
  }

  #player(id, side, url, audio) {
    const video = byId(id);
    const player = new Player(video, url, {
      audio,
      expected: () => this.#stream?.state === "online",
      on: {
        frame: (now, metadata) => this.compare.picture(side, video, now, metadata),
        connect: () => this.compare.restart(side),
        state: () => this.#say(),
      },
    });
    video.addEventListener("resize", () => player.look());
    return player;
  }

  // told takes what RAVE says, once a second.
  #told(streams) {
    this.#link = { problem: null };
    const before = this.#stream;
    this.#stream = streams.find((s) => s.name === name) ?? null;
    if (this.#stream) {
      const { presented, matched, glass } = this.#screen;
      this.#screen = { presented: 0, matched: 0, glass: [] };
      this.#numbers.update(this.#stream, { presented, matched, glass: median(glass) });
      this.#details.update(this.#stream, this.#now());
      setText(byId("made"), placard(this.#stream, makerAt(this.#stream, this.#rtp)));
      this.toolbar.shape(this.#stream.output?.size || this.#stream.input?.size);
    }
    for (const side of ["original", "enhanced"]) { // what somebody gets has changed; it may be us
      if (JSON.stringify(before?.viewers[side]) !== JSON.stringify(this.#stream?.viewers[side])) this[side].look();
    }
    if (before && before.state !== "online" && this.#stream?.state === "online") this.#retry();
    this.#say();
  }

  // seen is called for each pair of pictures that came onto the screen.
  #seen({ rtp, matched }) {
    this.#rtp = rtp;
    this.#screen.presented++;
    if (matched) this.#screen.matched++;
    if (this.#stream) this.#screen.glass.push(this.#now() - capturedAt(this.#stream, rtp));
    // For tests and the curious: what is in the canvas at this moment.
    byId("picture").dispatchEvent(new CustomEvent("rave-picture", { detail: { rtp, matched } }));
  }

  #say() {
    const message = choose({ link: this.#link, stream: this.#stream, players: { enhanced: this.enhanced.state, original: this.original.state } });
    const over = message && (message.dim || message.kind !== "warn") ? message : null;
    const below = message && !over ? message : null;
    const box = byId("message");
    this.message = message;
    byId("stage").classList.toggle("dim", Boolean(message?.dim) && !this.compare.empty);
    // While a better enhancer loads, and while connecting with a picture, the picture is worth more than the message.
    box.hidden = !over || (over.kind === "wait" && !over.dim && !this.compare.empty);
    if (!box.hidden) {
      box.dataset.kind = over.kind;
      fill(box, over);
    }
    const note = byId("note");
    note.hidden = !below;
    if (below) setText(note, [below.title + ".", below.detail, below.key && `Setting: ${below.key}.`].filter(Boolean).join(" "));
    setText(byId("given"), this.#stream ? given(this.#stream, { original: this.#plays("original"), enhanced: this.#plays("enhanced") }) : "");
    this.#count();
  }

  // plays says what a side plays, for given.
  #plays(side) {
    const { state, given: renditions, video } = this[side];
    return state.phase === "playing" ? { renditions, size: `${video.videoWidth}x${video.videoHeight}` } : null;
  }

  // count brings what changes by itself up to date.
  #count() {
    const now = this.#now();
    setText(document.querySelector(".message-count"), this.message ? counting(this.message, now) : "");
    const { state, text } = inWords(this.#link, this.#stream);
    byId("state").dataset.state = state;
    setText(byId("state"), text);
  }

  #now() {
    return new Date(Date.now() + this.#clock);
  }

  #retry() {
    this.enhanced.retry();
    this.original.retry();
  }

  #visible() {
    clearTimeout(this.#hiding);
    if (document.hidden) {
      this.#hiding = setTimeout(() => this.#stop(), hiddenFor);
    } else {
      this.enhanced.start();
      this.original.start();
    }
  }

  #stop() {
    this.enhanced.stop();
    this.original.stop();
  }
}

function fill(box, { title, detail, key }) {
  setText(box.querySelector(".message-title"), title);
  setText(box.querySelector(".message-detail"), detail ?? "");
  box.querySelector(".message-key").hidden = !key;
  setText(box.querySelector(".message-key code"), key ?? "");
}

function inWords({ problem }, stream) {
  if (problem) return { state: "lost", text: "no connection to RAVE" };
  if (!stream) return { state: "lost", text: stream === null ? "not configured" : "" };
  if (stream.state === "online") return { state: "online", text: "live" };
  return stream.publish ? { state: "waiting", text: "waiting for a publisher" } : { state: "away", text: "away" };
}

function median(values) {
  return values.length === 0 ? NaN : values.toSorted((a, b) => a - b)[values.length >> 1];
}

// A video that begins before the page has loaded keeps it from ever having loaded while there is no picture.
const page = new StreamPage();
if (document.readyState === "complete") page.run();
else addEventListener("load", () => page.run(), { once: true });
