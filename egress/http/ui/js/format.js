// Numbers and times as people write them. No DOM: tested by itself.

const narrow = "\u202f"; // a space that neither breaks nor stretches
const dash = "–";

export const codecName = (codec) => ({ h264: "H.264", h265: "H.265", mjpeg: "MJPEG", opus: "Opus", pcma: "G.711", pcmu: "G.711", aac: "AAC" }[codec] ?? codec ?? "");

/** size writes "640x360" as 640 × 360. */
export const size = (text) => (text ? text.replace("x", `${narrow}×${narrow}`) : dash);

export function bitrate(bits) {
  if (!(bits > 0)) return { value: dash, unit: "" };
  if (bits >= 1e6) return { value: (bits / 1e6).toFixed(1), unit: "Mb/s" };
  return { value: Math.round(bits / 1e3).toString(), unit: "kb/s" };
}

export function milliseconds(ms) {
  if (!(ms > 0)) return dash;
  return ms < 10 ? ms.toFixed(1) : Math.round(ms).toString();
}

export const fps = (rate) => (rate > 0 ? rate.toFixed(1) : dash);

/** count groups digits: 1 234 567. */
export const count = (n) => String(n ?? 0).replace(/\B(?=(\d{3})+(?!\d))/g, narrow);

/** percent never calls a share 0 % or 100 % that is not. */
export function percent(share) {
  const p = 100 * (share || 0);
  if (p > 0 && p < 0.1) return "< 0.1 %";
  if (p > 99.9 && p < 100) return "> 99.9 %";
  return Number.isInteger(p) ? `${p} %` : `${p.toFixed(1)} %`;
}

const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** span writes seconds with at most two units: "2 h 5 min". */
export function span(seconds) {
  let left = Math.max(0, Math.round(seconds || 0));
  const parts = [];
  for (const [name, length] of units) {
    const n = Math.floor(left / length);
    if (n > 0 && parts.length < 2) parts.push(`${n} ${name}`);
    else if (parts.length > 0) break;
    left -= n * length;
  }
  return parts.join(" ") || "0 s";
}

/** seconds between two moments as JSON has them; 0 if one is missing. */
export function between(from, to) {
  const seconds = (new Date(to) - new Date(from)) / 1000;
  return from && to && seconds > 0 ? seconds : 0;
}

/** dropped sums a stream's drops. */
export const dropped = (stream) => (stream.drops ?? []).reduce((sum, d) => sum + d.count, 0);

/** sentence makes one of what RAVE says in the style of error texts. */
export function sentence(text) {
  const trimmed = text.trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?)]$/.test(trimmed) ? "" : ".");
}
