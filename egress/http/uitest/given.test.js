import assert from "node:assert/strict";
import { test } from "node:test";
import { audience, given, renditions } from "../ui/js/given.js";

const thin = (text) => text.replaceAll("\u202f", "");

test("the header is a list", () => {
  assert.deepEqual([null, "", "browser", "low, opus", "low,opus "].map(renditions), [[], [], ["browser"], ["low", "opus"], ["low", "opus"]]);
});

test("a viewer is told what it does not get as it is", () => {
  const side = (size, ...names) => ({ renditions: names, size });
  const stream = (codec) => ({ input: { codec, size: "1280x720" }, output: { size: "2560x1440" } });
  const full = { original: side("1280x720"), enhanced: side("2560x1440") };
  for (const [what, codec, change, want] of [
    ["all as it is", "h264", {}, ""],
    ["nothing plays", "h264", { original: null, enhanced: null }, ""],
    ["B-frames", "h264", { original: side("1280x720", "browser") }, "Original converted to H.264 without B-frames for your browser"],
    ["H.265", "h265", { original: side("1280x720", "browser") }, "Original converted from H.265 to H.264 for your browser"],
    ["MJPEG and AAC", "mjpeg", { original: side("1280x720", "browser"), enhanced: side("2560x1440", "opus") },
      "Original converted from MJPEG to H.264 for your browser  ·  Sound converted from AAC to Opus"],
    ["a slow network", "h264", { enhanced: side("640x360", "low", "opus") },
      "Small enhanced picture, 640×360: your network does not carry the full one of 2560×1440  ·  Sound converted from AAC to Opus"],
    ["for the original", "h265", { original: side("640x360", "low") }, "Small original picture, 640×360: your network does not carry the full one of 1280×720"],
    ["for both", "h264", { original: side("640x360", "low"), enhanced: side("640x360", "low") }, "Small pictures, 640×360: your network does not carry the full ones"],
    ["for both, of two sizes", "h264", { original: side("320x180", "low"), enhanced: side("640x360", "low") }, "Small pictures: your network does not carry the full ones"],
    ["a small camera", "h264", { original: side("1280x720", "low") }, "Original picture with less detail: your network does not carry all of it"],
  ]) {
    assert.equal(thin(given(stream(codec), { ...full, ...change })), want, what);
  }
});

test("viewers are counted by what they get", () => {
  assert.equal(audience("it", { count: 0, renditions: {} }), "0 of it");
  assert.equal(audience("it", { count: 3, renditions: { opus: 2, low: 1 } }), "3 of it (1 small, 2 with converted sound)");
  assert.equal(audience("it", { count: 1, renditions: { browser: 1, low: 0 } }), "1 of it (1 converted for browsers)");
});
