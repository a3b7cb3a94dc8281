// The live numbers below the picture, each with a line of the last minute.
import { el, setText } from "./dom.js";
import { bitrate, count, dropped, fps, milliseconds } from "./format.js";
import { Sparkline } from "./sparkline.js";

const mostGlass = 20000; // milliseconds: more is no delay but a wrong clock

class Tile {
  #value = el("span", { class: "tile-number" }, "–");
  #unit = el("span", { class: "tile-unit" });
  #note = el("dd", { class: "tile-note" });
  #spark = new Sparkline();

  constructor(label, title) {
    this.node = el("div", { class: "tile", title },
      el("dt", {}, label), el("dd", { class: "tile-value" }, this.#value, this.#unit), el("dd", { class: "tile-spark" }, this.#spark.node), this.#note);
  }

  /** show takes the texts, and the number for the line: null where there is none. */
  show({ value, unit = "", note = "", point }) {
    setText(this.#value, value);
    setText(this.#unit, value === "–" ? "" : unit);
    setText(this.#note, note);
    this.#spark.add(point);
  }
}

export class Numbers {
  #tiles = {
    rate: new Tile("Frame rate", "Enhanced pictures per second"),
    added: new Tile("Added latency", "From a picture's arrival at RAVE to its enhanced form leaving, median"),
    glass: new Tile("Glass to glass", "From the camera's shutter to this screen, by the camera's clock"),
    bitrate: new Tile("Bitrate", "Of the enhanced stream"),
    drops: new Tile("Dropped", "Pictures given up in the last second"),
    matched: new Tile("Frame match", "Pictures on this screen whose two sides are the same frame, in the last second"),
  };
  #dropsBefore = null;

  constructor(list) {
    list.append(...Object.values(this.#tiles).map((tile) => tile.node));
  }

  /** update takes a stream's status and what the screen has measured since the last one: {presented, matched, glass}. */
  update(stream, screen) {
    const { input, output, latency } = stream;
    const { rate, added, drops, glass, matched } = this.#tiles;
    const live = stream.state === "online";
    rate.show({ value: live ? fps(output.fps) : "–", unit: "fps", note: live ? `${fps(input.fps)} from the camera` : "", point: live ? output.fps : null });
    added.show({ value: milliseconds(latency.p50_ms), unit: "ms", note: `95 % within ${milliseconds(latency.p95_ms)} ms`, point: live ? latency.p50_ms : null });
    glass.show(glassToGlass(live ? screen.glass : NaN, stream));
    const out = bitrate(output.bitrate);
    const into = bitrate(input.bitrate);
    this.#tiles.bitrate.show({ ...out, note: `${into.value} ${into.unit} from the camera`, point: live ? output.bitrate : null });
    const total = dropped(stream);
    const now = this.#dropsBefore === null ? 0 : Math.max(0, total - this.#dropsBefore);
    this.#dropsBefore = total;
    drops.show({ value: count(now), unit: "/s", note: `${count(total)} of ${count(input.frames)} since start`, point: now });
    matched.show(frameMatch(live ? screen : { presented: 0 })); // a picture that is repeated has no partner
  }
}

// glassToGlass: only where the camera tells its time is its own delay in it; else it begins at RAVE's door. A clock that
// makes nonsense of it is said to be wrong.
function glassToGlass(glass, { captured }) {
  const byCamera = captured?.clock === "camera";
  if (!Number.isFinite(glass)) return { value: "–", note: "not measured yet", point: null };
  if (glass <= 0 || glass > mostGlass) return { value: "–", note: `the ${byCamera ? "camera" : "browser"}’s clock is wrong`, point: null };
  return { value: milliseconds(glass), unit: "ms", note: byCamera ? "by the camera’s clock" : "from RAVE’s door: the camera tells no time", point: glass };
}

function frameMatch({ presented, matched }) {
  if (!presented) return { value: "–", unit: "", note: "nothing is shown", point: null };
  const share = (100 * matched) / presented;
  return { value: share === 100 ? "100" : share.toFixed(1), unit: "%", note: `of ${presented} pictures shown`, point: share };
}
