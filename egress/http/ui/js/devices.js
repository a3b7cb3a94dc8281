// Cameras and microphones: which there are, how to open them, and in words why one cannot be opened.
import { Problem } from "./api.js";

/** impossible returns the Problem of a browser or a page that cannot publish at all; null if it can. */
export function impossible(window) {
  if (!window.isSecureContext) {
    return new Problem({
      title: "This page needs HTTPS",
      detail: `Browsers give a camera only to pages that come by HTTPS. Open https://${window.location.host}${window.location.pathname}; “rave serve --lan” sets that up for a home network.`,
      key: "http.tls",
    });
  }
  if (!window.navigator.mediaDevices?.getUserMedia || !window.RTCPeerConnection) {
    return new Problem({ title: "This browser cannot publish", detail: "It has no access to cameras or no WebRTC. A current Chrome, Edge, Firefox or Safari has both." });
  }
  if (h264(window).length === 0) {
    return new Problem({ title: "This browser cannot send H.264", detail: "RAVE takes H.264 only. A current Chrome, Edge, Firefox or Safari sends it." });
  }
  return null;
}

/** h264 lists the forms of H.264 that the browser sends, with retransmission, for setCodecPreferences. */
export function h264(window) {
  const codecs = window.RTCRtpSender?.getCapabilities?.("video")?.codecs ?? [];
  const ours = codecs.filter((c) => c.mimeType.toLowerCase() === "video/h264");
  return ours.length === 0 ? [] : [...ours, ...codecs.filter((c) => c.mimeType.toLowerCase() === "video/rtx")];
}

/**
 * open returns a MediaStream of what is chosen: {camera, microphone} are device ids, "" for any, microphone null for no
 * sound. Where there is no microphone at all the stream has a picture only.
 */
export async function open(devices, { camera, microphone, height }) {
  const video = { height: { ideal: height }, width: { ideal: Math.round(height * 16 / 9) }, frameRate: { ideal: 30, max: 30 }, ...(camera && { deviceId: { exact: camera } }) };
  const audio = microphone === null ? false : microphone ? { deviceId: { exact: microphone } } : true;
  try {
    return await devices.getUserMedia({ video, audio });
  } catch (error) {
    if (audio === false || !["NotFoundError", "OverconstrainedError"].includes(error.name)) throw explain(error);
  }
  try {
    return await devices.getUserMedia({ video, audio: false });
  } catch (error) {
    throw explain(error);
  }
}

/** explain makes a Problem of an error of getUserMedia (W3C Media Capture and Streams, section 10.3.1). */
export function explain({ name, message }) {
  const say = (title, detail) => new Problem({ title, detail });
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return say("The camera is not allowed", "Allow camera and microphone for this page, at the left of the address bar or in the browser’s settings, and try again.");
    case "NotFoundError":
      return say("There is no camera", "Connect one, and try again.");
    case "OverconstrainedError":
      return say("The camera is gone", "Choose another one.");
    case "NotReadableError":
    case "AbortError":
      return say("The camera cannot be opened", "Another program may be using it: close that, and try again.");
    default:
      return say("The camera cannot be opened", message);
  }
}

/** list returns {cameras, microphones}: [{id, label}]. Browsers tell names only to who may open one. */
export async function list(devices) {
  const all = await devices.enumerateDevices();
  const of = (kind, name) => all.filter((d) => d.kind === kind && d.deviceId !== "").map((d, i) => ({ id: d.deviceId, label: d.label || `${name} ${i + 1}` }));
  return { cameras: of("videoinput", "Camera"), microphones: of("audioinput", "Microphone") };
}
