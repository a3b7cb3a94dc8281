// What the browser says of what it sends, in words. No DOM: tested by itself.
import { bitrate, fps, size } from "./format.js";

const limits = { bandwidth: "the network carries no more", cpu: "this device is too slow for more" };

export class Sent {
  #bytes = 0;
  #at = 0;

  /** describe takes an RTCStatsReport, once a second or so; "" until there is something to say. */
  describe(stats) {
    const reports = [...stats.values()];
    const video = reports.find((r) => r.type === "outbound-rtp" && r.kind === "video");
    if (!video?.frameWidth) return "";
    const remote = reports.find((r) => r.type === "remote-inbound-rtp" && r.kind === "video");
    const { value, unit } = bitrate(this.#rate(video));
    const parts = [size(`${video.frameWidth}x${video.frameHeight}`), `${fps(video.framesPerSecond)} pictures a second`];
    if (unit) parts.push(`${value} ${unit}`); // not at the first look
    if (remote?.roundTripTime > 0) parts.push(`${Math.round(1000 * remote.roundTripTime)} ms there and back`);
    if (limits[video.qualityLimitationReason]) parts.push(limits[video.qualityLimitationReason]);
    return parts.join(" · ");
  }

  #rate({ bytesSent, timestamp }) {
    const rate = this.#at > 0 && bytesSent >= this.#bytes && timestamp > this.#at ? (8000 * (bytesSent - this.#bytes)) / (timestamp - this.#at) : 0;
    this.#bytes = bytesSent;
    this.#at = timestamp;
    return rate;
  }
}
