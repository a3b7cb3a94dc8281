import assert from "node:assert/strict";
import { test } from "node:test";
import { explain, h264, impossible, list, open } from "../ui/js/devices.js";
import { Sent } from "../ui/js/sent.js";

const codecs = [{ mimeType: "video/VP8" }, { mimeType: "video/rtx" }, { mimeType: "video/H264", sdpFmtpLine: "a" }, { mimeType: "video/H264", sdpFmtpLine: "b" }];
const browser = (change = {}) => ({
  isSecureContext: true, location: { host: "192.168.1.5:8080", pathname: "/studio/publish" }, navigator: { mediaDevices: { getUserMedia() {} } },
  RTCPeerConnection: class {}, RTCRtpSender: { getCapabilities: () => ({ codecs }) }, ...change,
});

test("what a page or a browser cannot do at all", () => {
  assert.equal(impossible(browser()), null);
  const plain = impossible(browser({ isSecureContext: false, navigator: {} })); // as browsers do over http://
  assert.match(plain.title, /HTTPS/);
  assert.match(plain.detail, /https:\/\/192\.168\.1\.5:8080\/studio\/publish/);
  assert.equal(plain.key, "http.tls");
  assert.match(impossible(browser({ navigator: {} })).title, /cannot publish/);
  assert.match(impossible(browser({ RTCPeerConnection: undefined })).title, /cannot publish/);
  assert.match(impossible(browser({ RTCRtpSender: { getCapabilities: () => ({ codecs: codecs.slice(0, 2) }) } })).title, /H\.264/);
});

test("H.264 in all its forms, with retransmission, and nothing else", () => {
  assert.deepEqual(h264(browser()).map((c) => c.mimeType), ["video/H264", "video/H264", "video/rtx"]);
});

// devices with a camera and perhaps a microphone, as getUserMedia of browsers behaves: one that is missing fails the whole.
function devices({ camera = true, microphone = true, fail } = {}) {
  const asked = [];
  return {
    asked,
    async getUserMedia(constraints) {
      asked.push(constraints);
      if (fail) throw Object.assign(new Error("no"), { name: fail });
      if (constraints.video && !camera || constraints.audio && !microphone) throw Object.assign(new Error("none"), { name: "NotFoundError" });
      return { audio: Boolean(constraints.audio) };
    },
  };
}
const any = { camera: "", microphone: "", height: 720 };

test("a device without a microphone publishes its picture", async () => {
  assert.deepEqual(await open(devices(), any), { audio: true });
  assert.deepEqual(await open(devices({ microphone: false }), any), { audio: false });
  assert.deepEqual(await open(devices(), { ...any, microphone: null }), { audio: false });
  const chosen = devices();
  await open(chosen, { camera: "c2", microphone: "m1", height: 360 });
  assert.deepEqual(chosen.asked[0].audio, { deviceId: { exact: "m1" } });
  assert.deepEqual([chosen.asked[0].video.deviceId, chosen.asked[0].video.width, chosen.asked[0].video.height], [{ exact: "c2" }, { ideal: 640 }, { ideal: 360 }]);
});

test("why a camera cannot be opened", async () => {
  for (const [name, words, asked] of [
    ["NotAllowedError", /not allowed/, 1], ["NotFoundError", /no camera/, 2], ["NotReadableError", /cannot be opened/, 1], ["OverconstrainedError", /gone/, 2], ["OtherError", /cannot be opened/, 1],
  ]) {
    const none = devices({ fail: name });
    await assert.rejects(open(none, any), (problem) => words.test(problem.title), name);
    assert.equal(none.asked.length, asked, name);
  }
  assert.equal(explain({ name: "OtherError", message: "it burns" }).detail, "it burns");
});

test("devices are listed by name, or by number until names are told", async () => {
  const all = [
    { kind: "videoinput", deviceId: "a", label: "Front" }, { kind: "videoinput", deviceId: "b", label: "" },
    { kind: "audioinput", deviceId: "", label: "" }, { kind: "audiooutput", deviceId: "s", label: "Speaker" },
  ];
  assert.deepEqual(await list({ enumerateDevices: async () => all }), { cameras: [{ id: "a", label: "Front" }, { id: "b", label: "Camera 2" }], microphones: [] });
});

test("what is sent, in words", () => {
  const sent = new Sent();
  const stats = (bytes, at, change = {}) => new Map([
    ["v", { type: "outbound-rtp", kind: "video", frameWidth: 1280, frameHeight: 720, framesPerSecond: 30, bytesSent: bytes, timestamp: at, ...change }],
    ["r", { type: "remote-inbound-rtp", kind: "video", roundTripTime: 0.0421 }], ["a", { type: "outbound-rtp", kind: "audio" }],
  ]);
  assert.equal(sent.describe(new Map()), "");
  sent.describe(stats(0, 1000));
  const words = sent.describe(stats(250000, 2000, { qualityLimitationReason: "bandwidth" }));
  assert.match(words, /1280.×.720/);
  assert.match(words, /30\.0 pictures a second · 2\.0 Mb\/s · 42 ms there and back · the network carries no more$/);
  assert.doesNotMatch(sent.describe(stats(500000, 3000, { qualityLimitationReason: "none" })), /network/);
});
