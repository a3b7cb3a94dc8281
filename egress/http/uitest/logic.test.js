import assert from "node:assert/strict";
import { test } from "node:test";
import { nameFor } from "../ui/js/add.js";
import { Backoff } from "../ui/js/backoff.js";
import { between, bitrate, count, fps, milliseconds, percent, size, span } from "../ui/js/format.js";
import { capturedAt, makerAt } from "../ui/js/frame.js";
import { lines, path, range, Series } from "../ui/js/scale.js";
import { maxZoom, View } from "../ui/js/view.js";

test("attempts come ever more rarely, and not all at once", () => {
  const middle = new Backoff({ random: () => 0.5 });
  assert.deepEqual(Array.from({ length: 7 }, () => middle.next()), [500, 1000, 2000, 4000, 8000, 15000, 15000]);
  middle.reset();
  assert.equal(middle.next(), 500);
  assert.equal(new Backoff({ random: () => 0 }).next(), 400);
  assert.equal(new Backoff({ random: () => 1 }).next(), 600);
});

test("numbers are written as people write them", () => {
  const thin = "\u202f";
  assert.deepEqual([0, -1, 3.14, 31.4, 314.1].map(milliseconds), ["–", "–", "3.1", "31", "314"]);
  assert.deepEqual([0, 812345, 4.15e6].map((b) => Object.values(bitrate(b)).join(" ")), ["– ", "812 kb/s", "4.2 Mb/s"]);
  assert.deepEqual([0, 1, 0.9999, 0.0004, 0.125].map(percent), ["0 %", "100 %", "> 99.9 %", "< 0.1 %", "12.5 %"]);
  assert.deepEqual([0, 123456, 1234567].map(count), ["0", `123${thin}456`, `1${thin}234${thin}567`]);
  assert.deepEqual([0, 61, 3600, 3601, 49 * 3600 + 1, -5].map(span), ["0 s", "1 min 1 s", "1 h", "1 h", "2 d 1 h", "0 s"]);
  assert.deepEqual([fps(0), fps(24.96), size(""), size("640x360")], ["–", "25.0", "–", `640${thin}×${thin}360`]);
  assert.equal(between("2025-03-01T12:00:00Z", "2025-03-01T12:02:05Z"), 125);
  assert.equal(between(undefined, "2025-03-01T12:02:05Z"), 0);
  assert.equal(between("2025-03-01T12:02:05Z", "2025-03-01T12:00:00Z"), 0);
});

test("the maker of a picture is found by its RTP time", () => {
  const stream = { enhancer: "live-x2", made: [{ rtp: 1000, enhancer: "lanczos" }, { rtp: 91000, enhancer: "live-x2" }] };
  assert.equal(makerAt(stream, 50000), "lanczos", "the last one made is newer than the one on the screen");
  assert.equal(makerAt(stream, 91000), "live-x2");
  assert.equal(makerAt(stream, 0), "lanczos", "older than all that is known");
  assert.equal(makerAt(stream, null), "live-x2");
  assert.equal(makerAt({ enhancer: "lanczos" }, 5), "lanczos");
  const hours = (91000 + 8 * 3600 * 90000) >>> 0; // RTP time has wrapped half way
  assert.equal(makerAt(stream, hours), "live-x2");
});

test("a picture's capture follows from that of another", () => {
  const stream = { captured: { rtp: 5, time: "2025-03-01T12:00:01Z", clock: "camera" } };
  const before = Date.parse("2025-03-01T12:00:00.900Z");
  assert.equal(capturedAt(stream, (5 - 9000) >>> 0), before);
  assert.ok(Number.isNaN(capturedAt({}, 5)) && Number.isNaN(capturedAt(stream, null)));
});

test("a steady stream looks steady", () => {
  const { low, high } = range([24.9, 25.1, 25]);
  assert.ok(high - low >= 5 && low < 24.9 && high > 25.1);
  assert.deepEqual(range([0, 3, 1]), { low: 0, high: 3 });
  assert.deepEqual(range([]), { low: 0, high: 1 });
  assert.deepEqual(range([null, null]), { low: 0, high: 1 });
  assert.ok(range([0, 0]).high > 0, "all zero is a line, not a division by zero");
});

test("a sparkline has its newest value at the right, and gaps", () => {
  const pieces = lines([1, 2, null, 4], 5, 100, 20, 0);
  assert.deepEqual(pieces.map((p) => p.map(([x]) => x)), [[25, 50], [100]]);
  for (const [, y] of pieces.flat()) assert.ok(y >= 0 && y <= 20);
  assert.ok(pieces[1][0][1] < pieces[0][1][1], "larger is higher");
  assert.equal(path([[[0, 1], [2, 3]], [[4, 5]]]), "M0.0 1.0L2.0 3.0M4.0 5.0h.1");
  const series = new Series(3);
  [1, 2, NaN, 4].forEach((v) => series.add(v));
  assert.deepEqual([series.values, series.last], [[2, null, 4], 4]);
});

test("zooming keeps what is under the pointer, and never leaves the picture", () => {
  const view = new View();
  const before = view.pointAt(0.7, 0.3);
  view.zoomAt(4, 0.7, 0.3);
  const after = view.pointAt(0.7, 0.3);
  assert.ok(Math.abs(before.x - after.x) < 1e-12 && Math.abs(before.y - after.y) < 1e-12);
  view.zoomAt(1e9);
  assert.equal(view.zoom, maxZoom);
  view.pan(-1e3, 1e3);
  const corner = view.part(1600, 900);
  assert.deepEqual([corner.x + corner.w, corner.y], [1600, 0]);
  view.zoomAt(1e-9);
  assert.deepEqual([view.zoom, view.x, view.y], [1, 0.5, 0.5]);
  assert.deepEqual(view.part(100, 50, 0.25, 0.5), { x: 25, y: 0, w: 25, h: 50 });
  view.setSplit(7);
  assert.equal(view.split, 1);
});

test("the two sides meet at the same point of the picture, whatever their sizes", () => {
  const view = new View();
  view.zoomAt(3, 0.2, 0.9);
  const left = view.part(384, 288, 0, 0.37);
  const right = view.part(768, 576, 0.37, 1);
  assert.ok(Math.abs((left.x + left.w) / 384 - right.x / 768) < 1e-12);
});

test("a camera gets a name that may be one", () => {
  for (const [url, name] of [
    ["rtsp://192.0.2.10:554/front_yard?x=1", "front_yard"], ["rtsp://u:p@192.0.2.10/", "camera-192-0-2-10"],
    ["rtsp://cam.local/Streaming/Channels/101", "Channels"], ["nonsense", "camera-"], ["rtsp://h/1/2", "camera-h"],
  ]) assert.equal(nameFor(url), name, url);
});
