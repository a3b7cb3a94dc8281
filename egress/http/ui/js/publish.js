// Publishes this device's camera to a stream: a preview, one button, and in words what is wrong.
import { Problem } from "./api.js";
import { Backoff } from "./backoff.js";
import { Connection } from "./connection.js";
import * as devices from "./devices.js";
import { byId, el, setText } from "./dom.js";
import { Sent } from "./sent.js";

const name = decodeURIComponent(location.pathname.split("/")[1]);
const mostBits = 6e6; // a second: more only costs the network

const states = {
  closed: ["waiting", ""],
  ready: ["waiting", "ready"],
  connecting: ["waiting", "connecting"],
  live: ["online", "live"],
};

class Publisher {
  #media = navigator.mediaDevices;
  #stream = null; // of the camera; null while none is open
  #openings = 0; // counted, since a choice may change while what was chosen before is being opened
  #connection = null;
  #senders = {};
  #wanted = false; // to publish
  #backoff = new Backoff();
  #retry = 0;
  #numbers = 0;
  #lock = null; // keeps the screen on

  constructor() {
    document.title = `Publish ${name} – RAVE`;
    setText(byId("name"), name);
    const watch = byId("watch");
    watch.href = `/${encodeURIComponent(name)}`;
    setText(watch, location.host + watch.pathname);
    byId("toggle").addEventListener("click", () => (this.#wanted ? this.stop() : this.start()));
    byId("again").addEventListener("click", () => this.open());
    byId("choices").addEventListener("submit", (event) => event.preventDefault());
    byId("choices").addEventListener("change", () => this.open());
    addEventListener("pagehide", () => this.stop());
    document.addEventListener("visibilitychange", () => this.#keepAwake());
  }

  /** open opens the chosen camera, also while another one is being sent. Of several calls the last one counts. */
  async open() {
    const problem = devices.impossible(window);
    if (problem) {
      this.#say(problem, false);
      return;
    }
    this.#media.ondevicechange = () => this.#choices();
    const microphone = byId("microphone").value;
    const turn = ++this.#openings;
    this.#close(); // many devices open one camera at a time
    try {
      const stream = await devices.open(this.#media, {
        camera: byId("camera").value, microphone: microphone === "none" ? null : microphone, height: Number(byId("height").value),
      });
      if (turn !== this.#openings) {
        release(stream);
        return;
      }
      this.#use(stream);
    } catch (error) {
      if (turn !== this.#openings) return;
      this.stop();
      this.#show("closed");
      this.#say(error, true);
    }
    await this.#choices();
  }

  start() {
    this.#wanted = true;
    this.#say(null);
    this.#connect();
    this.#keepAwake();
  }

  stop() {
    this.#wanted = false;
    clearTimeout(this.#retry);
    this.#disconnect();
    this.#backoff.reset();
    this.#show(this.#stream ? "ready" : "closed");
    this.#keepAwake();
  }

  #use(stream) {
    this.#stream = stream;
    byId("preview").srcObject = stream;
    this.#say(null);
    const [video] = stream.getVideoTracks();
    const [audio] = stream.getAudioTracks();
    video.contentHint = "motion";
    video.addEventListener("ended", () => { // unplugged, or taken back
      if (this.#stream !== stream) return;
      this.stop();
      this.#close();
      this.#show("closed");
      this.#say(new Problem({ title: "The camera is gone", detail: "It was unplugged, or the browser has taken it back." }), true);
    });
    if (this.#senders.audio === undefined && this.#connection && audio) this.#disconnect(); // sound that the session was made without
    if (this.#wanted && !this.#connection) { // also where an attempt was due while no camera was open
      clearTimeout(this.#retry);
      this.#connect();
      return;
    }
    this.#senders.video?.replaceTrack(video);
    this.#senders.audio?.replaceTrack(audio ?? null);
    this.#show(this.#connection ? "live" : "ready");
  }

  #close() {
    if (this.#stream) release(this.#stream);
    this.#stream = null;
    byId("preview").srcObject = null;
  }

  // choices fills the lists with the devices that there are now. Chosen are those in use, or while none is, as before.
  async #choices() {
    const { cameras, microphones } = await devices.list(this.#media);
    const fill = (id, kind, options) => {
      const select = byId(id);
      const used = this.#stream?.getTracks().find((t) => t.kind === kind)?.getSettings().deviceId;
      const chosen = this.#stream ? used ?? "none" : select.value;
      select.replaceChildren(...options.map((o) => el("option", { value: o.id, selected: o.id === chosen }, o.label)));
      select.disabled = options.length === 0;
    };
    fill("camera", "video", cameras);
    fill("microphone", "audio", [...microphones, { id: "none", label: "No sound" }]);
  }

  #connect() {
    if (!this.#stream) return;
    this.#show("connecting");
    const stream = this.#stream;
    this.#connection = new Connection(`/${encodeURIComponent(name)}/whip`, {
      failed: "This cannot be published",
      prepare: (pc) => {
        const add = (track, init) => pc.addTransceiver(track, { direction: "sendonly", streams: [stream], ...init });
        const video = add(stream.getVideoTracks()[0], { sendEncodings: [{ maxBitrate: mostBits }] });
        video.setCodecPreferences(devices.h264(window));
        this.#senders = { video: video.sender };
        for (const track of stream.getAudioTracks()) this.#senders.audio = add(track).sender;
      },
      on: {
        open: () => this.#opened(),
        end: (problem) => this.#ended(problem),
      },
    });
  }

  #opened() {
    this.#backoff.reset();
    this.#say(null);
    this.#show("live");
    clearInterval(this.#numbers);
    const sent = new Sent();
    const connection = this.#connection;
    this.#numbers = setInterval(async () => {
      const text = sent.describe(await connection.stats());
      if (connection === this.#connection) setText(byId("numbers"), text);
    }, 1000);
  }

  // ended tries again if that may help: the network was away, or somebody else is still publishing.
  #ended(problem) {
    this.#disconnect();
    const hopeless = problem.status >= 400 && problem.status < 500 && problem.status !== 409 && problem.status !== 429;
    if (hopeless) {
      this.stop();
      this.#say(problem, false);
      return;
    }
    this.#show("connecting");
    this.#say(new Problem({ ...problem, title: problem.title, detail: `${problem.detail} Trying again.`.trim() }), false);
    this.#retry = setTimeout(() => this.#connect(), this.#backoff.next());
  }

  #disconnect() {
    clearInterval(this.#numbers);
    setText(byId("numbers"), "");
    this.#connection?.close();
    this.#connection = null;
    this.#senders = {};
  }

  // keepAwake keeps a phone's screen on: with it off, the camera is off as well. The lock is lost with each look away.
  async #keepAwake() {
    try {
      if (this.#wanted && document.visibilityState === "visible") this.#lock = await navigator.wakeLock?.request("screen");
      else if (!this.#wanted) await this.#lock?.release();
    } catch { /* the battery is low: then not */ }
  }

  #show(state) {
    const [kind, text] = states[state];
    const label = byId("state");
    label.dataset.state = kind;
    setText(label, text);
    const toggle = byId("toggle");
    toggle.disabled = state === "closed";
    toggle.classList.toggle("live", this.#wanted);
    setText(toggle, this.#wanted ? "Stop" : "Start publishing");
  }

  // say shows a problem over the preview, or none.
  #say(problem, again = false) {
    const box = byId("message");
    box.hidden = problem === null;
    if (problem === null) return;
    setText(box.querySelector(".says-title"), problem.title ?? problem.message);
    setText(box.querySelector(".says-detail"), problem.detail ?? "");
    const key = box.querySelector(".says-key");
    key.hidden = !problem.key;
    setText(key.querySelector("code"), problem.key ?? "");
    byId("again").hidden = !again;
  }
}

function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

new Publisher().open();
