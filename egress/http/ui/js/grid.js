// The wall: every stream with a picture of just now and how it is.
import { followClock, getJSON, watchStreams } from "./api.js";
import { AddCamera } from "./add.js";
import { byId, el, setText } from "./dom.js";
import { between, fps, milliseconds, sentence, size, span } from "./format.js";
import { Thumbnail } from "./thumbnail.js";

class Tile {
  #title = el("h2");
  #state = el("span", { class: "state" });
  #note = el("p", { class: "caption-note" });
  #publish;

  constructor({ name, publish }) {
    this.thumbnail = new Thumbnail(name);
    const link = el("a", { class: "tile-link", href: `/${encodeURIComponent(name)}`, "aria-label": `Watch ${name}` }, this.thumbnail.node);
    this.#publish = publish && el("a", { class: "publish", href: `/${encodeURIComponent(name)}/publish` }, "Publish from this device");
    setText(this.#title, name);
    this.node = el("li", {}, link, el("div", { class: "caption" }, this.#title, this.#state), this.#note, this.#publish);
  }

  update(stream, now) {
    const live = stream.state === "online";
    this.#state.dataset.state = live ? (stream.asleep ? "waiting" : "online") : stream.publish ? "waiting" : "away";
    setText(this.#state, doing(stream, now));
    const wrong = stream.reason && !stream.publish;
    this.#note.classList.toggle("bad", Boolean(wrong));
    setText(this.#note, wrong ? stream.reason : health(stream));
    if (this.#publish) this.#publish.hidden = live;
    this.thumbnail.update(stream);
  }
}

// doing says in a word or two what a stream does.
function doing({ state, asleep, publish, since, input }, now) {
  if (state === "online") return asleep ? "asleep" : "live";
  if (publish) return "waiting";
  return since && input.frames > 0 ? `away for ${span(between(since, now))}` : "not seen yet";
}

// health is one line about a stream that is well.
function health({ state, asleep, input, output, latency, enhancer }) {
  if (state !== "online" || asleep || !output.frames) return "";
  const change = input.size && output.size ? `${size(input.size)} → ${size(output.size)}` : "";
  return [change, `${fps(output.fps)} fps`, latency.p50_ms > 0 && `+${milliseconds(latency.p50_ms)} ms`, enhancer].filter(Boolean).join("  ·  ");
}

class Wall {
  #tiles = new Map();
  #clock = 0;
  #asking = 0;

  run() {
    watchStreams((streams) => this.#told(streams), (problem) => notice(
      [problem.title + ".", problem.detail && sentence(problem.detail), problem.key && `Setting: ${problem.key}.`, "What you see is old.", problem.denied && "Reload the page to log in."].filter(Boolean).join(" ")));
    this.#about();
    this.#asking = setInterval(() => this.#about(), 15000);
    followClock((ms) => { this.#clock = ms; }).catch(() => { /* the notice says it */ });
  }

  #told(streams) {
    notice(this.config ? `The configuration file has changed, but is not in effect: ${this.config}` : "");
    const names = new Set(streams.map((s) => s.name));
    for (const [name, tile] of this.#tiles) {
      if (names.has(name)) continue;
      tile.thumbnail.stop();
      tile.node.remove();
      this.#tiles.delete(name);
    }
    const now = new Date(Date.now() + this.#clock);
    const wall = byId("wall");
    streams.forEach((stream, i) => {
      let tile = this.#tiles.get(stream.name);
      if (!tile) this.#tiles.set(stream.name, (tile = new Tile(stream)));
      if (wall.children[i] !== tile.node) wall.insertBefore(tile.node, wall.children[i] ?? null);
      tile.update(stream, now);
    });
    wall.dataset.count = String(streams.length);
    byId("empty").hidden = streams.length > 0;
  }

  // about asks for what concerns all streams and changes rarely. Not everybody may see it.
  async #about() {
    if (document.hidden) return;
    const status = await getJSON("/api/v1/status").catch((problem) => {
      if (problem.denied) clearInterval(this.#asking);
    });
    if (!status) return;
    this.config = status.config?.error ?? "";
    const down = status.listeners.filter((l) => !l.up).map((l) => `${l.name} on ${l.address} is down: ${l.reason ?? ""}`);
    setText(byId("about"), [`RAVE ${status.version}`, `up for ${span(between(status.started, status.time))}`, ...down].join("  ·  "));
  }
}

function notice(text) {
  const node = byId("notice");
  node.hidden = text === "";
  setText(node, text);
}

new Wall().run();
const add = new AddCamera();
for (const id of ["add", "add-first"]) byId(id).addEventListener("click", () => add.open());
