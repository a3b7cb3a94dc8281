// The controls below the picture, the line on it, and the page's keys.
import { byId, setText } from "./dom.js";
import { control } from "./gesture.js";

const modes = ["original", "compare", "enhanced"];
const labels = {
  original: "The original picture",
  compare: "The original left of the line, the enhanced picture right of it",
  enhanced: "The enhanced picture",
};

export class Toolbar {
  #stage = byId("stage");
  #divider = byId("divider");

  /** sound is the <video> that has it. */
  constructor({ compare, view, sound }) {
    Object.assign(this, { compare, view, sound });
    control(this.#stage, this.#divider, view, () => this.#changed());
    this.#click("hold", () => this.hold());
    this.#click("out", () => this.#zoom(1 / 1.5));
    this.#click("in", () => this.#zoom(1.5));
    this.#click("level", () => this.#whole());
    this.#click("sound", () => this.mute());
    this.#click("full", () => this.full());
    byId("full").hidden = !document.fullscreenEnabled;
    for (const radio of document.querySelectorAll("input[name=mode]")) {
      radio.addEventListener("change", () => this.show(radio.value));
    }
    document.addEventListener("keydown", (event) => this.#key(event));
    sound.addEventListener("loadedmetadata", () => this.#hasSound());
    sound.addEventListener("resize", () => this.#hasSound());
    this.#changed();
  }

  /** shape gives the stage the proportions of a picture, "1280x720", before the first one comes and when they change. */
  shape(size) {
    const [width, height] = (size ?? "").split("x").map(Number);
    if (width > 0 && height > 0) this.#stage.style.setProperty("--aspect", String(width / height));
  }

  /** show takes a mode: original, compare or enhanced. */
  show(mode) {
    this.compare.mode = mode;
    this.#stage.dataset.mode = mode;
    document.querySelector(`input[name=mode][value=${mode}]`).checked = true;
    byId("picture").setAttribute("aria-label", labels[mode]);
    this.compare.redraw();
  }

  /** hold keeps the frame that is seen, to look at it closely, or lets go of it. */
  hold() {
    const held = (this.compare.frozen = !this.compare.frozen);
    byId("hold").setAttribute("aria-pressed", String(held));
    byId("hold").querySelector("use").setAttribute("href", held ? "#i-play" : "#i-hold");
    this.#stage.classList.toggle("held", held);
  }

  mute() {
    const loud = (this.sound.muted = !this.sound.muted) === false;
    byId("sound").setAttribute("aria-pressed", String(loud));
    byId("sound").querySelector("use").setAttribute("href", loud ? "#i-sound" : "#i-mute");
  }

  async full() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await byId("theatre").requestFullscreen().catch(() => {});
  }

  #click(id, act) {
    byId(id).addEventListener("click", act);
  }

  #hasSound() {
    byId("sound").hidden = !(this.sound.srcObject?.getAudioTracks().length > 0);
  }

  #zoom(factor) {
    this.view.zoomAt(factor);
    this.#changed();
  }

  #whole() {
    this.view.reset();
    this.#changed();
  }

  #changed() {
    const { split, zoom } = this.view;
    const percent = Math.round(split * 100);
    this.#stage.style.setProperty("--split", String(split));
    this.#stage.classList.toggle("zoomed", zoom > 1);
    this.#divider.setAttribute("aria-valuenow", String(percent));
    this.#divider.setAttribute("aria-valuetext", `${percent} % original, ${100 - percent} % enhanced`);
    setText(byId("level"), `${zoom < 10 ? Math.round(zoom * 10) / 10 : Math.round(zoom)}×`);
    byId("out").disabled = zoom === 1;
    this.compare.redraw();
  }

  // Keys of the whole page, unless they are meant for a control or the browser.
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
    if (event.key === " " && event.target.closest("button, a")) return;
    const act = {
      " ": () => this.hold(), m: () => this.mute(), f: () => this.full(),
      "+": () => this.#zoom(1.5), "=": () => this.#zoom(1.5), "-": () => this.#zoom(1 / 1.5), 0: () => this.#whole(),
      1: () => this.show(modes[0]), 2: () => this.show(modes[1]), 3: () => this.show(modes[2]),
      ...this.#arrows(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // The arrows move a picture that is zoomed in. Otherwise left and right move the line, and up and down the page.
  #arrows() {
    const pan = (x, y) => () => {
      this.view.pan(x, y);
      this.#changed();
    };
    if (this.view.zoom > 1) {
      return { ArrowLeft: pan(0.1, 0), ArrowRight: pan(-0.1, 0), ArrowUp: pan(0, 0.1), ArrowDown: pan(0, -0.1) };
    }
    const line = (by) => () => {
      this.view.setSplit(this.view.split + by);
      this.#changed();
    };
    return { ArrowLeft: line(-0.02), ArrowRight: line(0.02) };
  }
}
