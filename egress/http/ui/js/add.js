// "Add camera": an address, a look at what it sends, a name; then RAVE writes it into its configuration and reloads.
import { postJSON } from "./api.js";
import { byId, setText } from "./dom.js";
import { codecName, fps, size } from "./format.js";

export class AddCamera {
  #dialog = byId("dialog");
  #probe = byId("probe");
  #save = byId("save");
  #asking = null; // AbortController of the probe that is under way
  #camera = null; // what was looked at
  #proposed = ""; // as its name

  constructor() {
    this.#probe.addEventListener("submit", (event) => this.#submit(event, () => this.#look()));
    this.#save.addEventListener("submit", (event) => this.#submit(event, () => this.#add()));
    this.#dialog.querySelector("[data-close]").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#asking?.abort());
    byId("again").addEventListener("click", () => this.#step(this.#probe));
  }

  open() {
    this.#step(this.#probe);
    this.#dialog.showModal();
    this.#probe.elements.url.focus();
  }

  async #submit(event, act) {
    event.preventDefault();
    const form = event.target;
    const error = byId(`${form.id}-error`);
    const button = form.querySelector("button.primary");
    error.hidden = true;
    button.disabled = true;
    try {
      await act();
    } catch (problem) {
      if (problem.name !== "AbortError") {
        error.hidden = false;
        setText(error, [problem.title ?? problem.message, problem.detail].filter(Boolean).join(": "));
      }
    }
    button.disabled = false;
  }

  async #look() {
    const { url, username, password } = values(this.#probe);
    this.#asking = new AbortController();
    byId("probe-progress").hidden = false;
    try {
      const found = await postJSON("/api/v1/probe", { url, username, password }, this.#asking.signal);
      this.#camera = { url, username, password };
      this.#found(found);
    } finally {
      byId("probe-progress").hidden = true;
    }
  }

  // found shows what the camera sends and proposes a name.
  #found({ video = {}, audio = [], preview = "" }) {
    const image = byId("preview");
    image.hidden = !preview;
    if (preview) image.src = `data:image/jpeg;base64,${preview}`;
    const rate = video.fps > 0 ? `, ${fps(video.fps)} fps` : "";
    const sound = audio.length > 0 ? `with ${audio.map((a) => codecName(a.codec)).join(" and ")} sound` : "without sound";
    setText(byId("found"), `${codecName(video.codec)}${video.size ? `, ${size(video.size)}` : ""}${rate}, ${sound}.`);
    const name = this.#save.elements.name;
    if (!name.value || name.value === this.#proposed) name.value = this.#proposed = nameFor(this.#camera.url); // else it was chosen
    this.#step(this.#save);
    this.#save.elements.name.select();
  }

  async #add() {
    const { name, scale } = values(this.#save);
    const { url, username, password } = this.#camera;
    await postJSON("/api/v1/streams", { name, source: url, username, password, ...(scale && { output: { scale: Number(scale) } }) });
    this.#save.reset();
    this.#probe.reset();
    this.#dialog.close();
  }

  #step(form) {
    this.#probe.hidden = form !== this.#probe;
    this.#save.hidden = form !== this.#save;
  }
}

const values = (form) => Object.fromEntries([...new FormData(form)].map(([key, value]) => [key, key === "password" ? value : value.trim()]));

/** nameFor proposes a stream's name: the last part of the address that is one, else the host. */
export function nameFor(url) {
  const [, host = "", path = ""] = /^\w+:\/\/(?:[^@/]*@)?([^/:?]+)[^/?]*([^?]*)/.exec(url) ?? [];
  const part = path.split("/").filter((p) => /^[A-Za-z][\w.-]*$/.test(p)).at(-1);
  return (part ?? `camera-${host.replaceAll(/[^A-Za-z0-9]+/g, "-")}`).slice(0, 64);
}
