// One WebRTC connection to RAVE, to watch (WHEP, draft-ietf-wish-whep) or to publish (WHIP, RFC 9725): an offer goes out by POST,
// the answer comes back, media flows, DELETE ends it.
import { Problem, request } from "./api.js";
import { renditions } from "./given.js";
import { candidates, explain, fragment, iceServers } from "./ice.js";

const connectTimeout = 12000; // longer than a TCP candidate needs after UDP has failed
const brokenFor = 4000; // ICE says "disconnected" at any lost packet or two; only if it lasts is it over

export class Connection {
  #pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  #abort = new AbortController();
  #resource = null; // the session's URL
  #etag = null;
  #found = []; // our candidates that RAVE does not know yet
  #offered = []; // RAVE's
  #timer = 0;
  #looks = Promise.resolve(); // one after the other: the last answer holds
  #closed = false;

  /**
   * prepare(pc) adds what is to be sent or received; failed is the title of what has no other. on.track(track, receiver) for
   * each track that is received, on.given(names) of what is made for this viewer in place of the stream as it is, on.open()
   * once media can flow, on.end(Problem) once, unless closed first.
   */
  constructor(url, { prepare, failed, on }) {
    Object.assign(this, { url, failed, on });
    prepare(this.#pc);
    this.#pc.addEventListener("track", (e) => on.track(e.track, e.receiver));
    this.#pc.addEventListener("connectionstatechange", () => this.#changed());
    this.#pc.addEventListener("icecandidate", (e) => this.#trickle(e.candidate?.candidate ?? null));
    this.#timer = setTimeout(() => this.#fail(this.#unreachable()), connectTimeout);
    this.#start().catch((error) => this.#fail(error));
  }

  /** close ends the connection and tells RAVE; nothing is called back after it. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#pc.close();
    // keepalive: it is sent even if the page is being left.
    if (this.#resource) fetch(this.#resource, { method: "DELETE", keepalive: true }).catch(() => {});
  }

  /** look asks what is made for this viewer now: it changes with the network and with the stream. on.given is told. */
  look() {
    this.#looks = this.#looks.then(async () => {
      if (!this.#resource || this.#closed) return;
      this.#tell(await request(this.#resource, { method: "OPTIONS", signal: this.#abort.signal }));
    }).catch(() => { /* the next change asks again */ });
  }

  #tell(response) {
    if (!this.#closed) this.on.given?.(renditions(response.headers.get("Rave-Rendition")));
  }

  /** stats are those of the browser (RTCStatsReport). */
  stats() {
    return this.#pc.getStats();
  }

  // The local description is set only when the answer is here, since the answer names the servers that candidates are
  // to be gathered with.
  async #start() {
    const offer = await this.#pc.createOffer();
    const response = await request(this.url, {
      method: "POST", headers: { "Content-Type": "application/sdp" }, body: offer.sdp, signal: this.#abort.signal,
    });
    const answer = await response.text();
    this.#etag = response.headers.get("ETag");
    const location = response.headers.get("Location");
    if (location) this.#resource = new URL(location, response.url).href;
    if (this.#closed) { // while it was under way
      if (this.#resource) fetch(this.#resource, { method: "DELETE", keepalive: true }).catch(() => {});
      return;
    }
    this.#tell(response);
    this.#offered = candidates(answer);
    const servers = iceServers(response.headers.get("Link"));
    this.relay = servers.some((s) => s.urls.startsWith("turn"));
    if (servers.length > 0) this.#pc.setConfiguration({ bundlePolicy: "max-bundle", iceServers: servers });
    await this.#pc.setLocalDescription(offer);
    await this.#pc.setRemoteDescription({ type: "answer", sdp: answer });
  }

  // trickle tells RAVE our candidates, several at once. It can do without most of the time, since the browser knocks at
  // RAVE's; where RAVE is behind a NAT it must knock at ours as well.
  #trickle(candidate) {
    this.#found.push(candidate);
    if (this.#found.length > 1 || !this.#resource) return; // the first of a batch sends it
    setTimeout(() => this.#patch(), 50);
  }

  async #patch() {
    const body = fragment(this.#pc.localDescription?.sdp ?? "", this.#found.splice(0));
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag", ...(this.#etag && { "If-Match": this.#etag }) };
    try {
      await request(this.#resource, { method: "PATCH", headers, body, signal: this.#abort.signal });
    } catch { /* whether it was needed shows by whether media comes */ }
  }

  #changed() {
    clearTimeout(this.#timer);
    switch (this.#pc.connectionState) {
      case "connected":
        this.on.open();
        break;
      case "disconnected":
        this.#timer = setTimeout(() => this.#fail(new Problem({ title: "The connection is lost" })), brokenFor);
        break;
      case "failed":
        this.#fail(this.#unreachable());
        break;
      case "closed":
        this.#fail(new Problem({ title: "RAVE has closed the connection" }));
        break;
      default: // new, connecting
        this.#timer = setTimeout(() => this.#fail(this.#unreachable()), connectTimeout);
    }
  }

  #unreachable() {
    return new Problem(explain({ host: location.hostname, offered: this.#offered, relay: this.relay === true }));
  }

  #fail(problem) {
    if (this.#closed) return;
    this.close();
    this.on.end(problem instanceof Problem ? problem : new Problem({ title: this.failed, detail: problem.message }));
  }
}
