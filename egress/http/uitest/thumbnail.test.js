import assert from "node:assert/strict";
import { test } from "node:test";
import { stopTime } from "./timers.js";
import { Thumbnail } from "../ui/js/thumbnail.js";

// world stands in for the browser as far as a thumbnail uses it: object URLs are counted, pictures decode when the test says.
function world(t, { decode = async () => {}, status = 200 } = {}) {
  stopTime(t);
  const node = () => ({ classList: { add() {}, toggle() {} }, setAttribute() {}, append() {}, textContent: "", src: "", clientWidth: 100 });
  const urls = new Set();
  let count = 0;
  const requests = [];
  const watchers = [];
  globalThis.document = { createElement: node, hidden: false };
  globalThis.devicePixelRatio = 1;
  globalThis.Image = class { decode = decode; };
  globalThis.IntersectionObserver = class {
    constructor(see) { watchers.push(see); }
    observe() {}
    disconnect() {}
  };
  t.mock.method(URL, "createObjectURL", () => {
    urls.add(`blob:${++count}`);
    return `blob:${count}`;
  });
  t.mock.method(URL, "revokeObjectURL", (url) => urls.delete(url));
  t.mock.method(globalThis, "fetch", async (path) => {
    requests.push(path);
    return new Response("picture", { status });
  });
  const thumbnail = new Thumbnail("cam");
  watchers[0]([{ isIntersecting: true }]);
  thumbnail.update({ state: "online", input: {} });
  const round = async (ms = 0) => {
    t.mock.timers.tick(ms);
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  return { thumbnail, urls, requests, round };
}

test("one picture is held at a time", async (t) => {
  const { thumbnail, urls, requests, round } = world(t);
  await round();
  for (let i = 0; i < 3; i++) await round(1000);
  assert.deepEqual([requests.length, [...urls]], [4, ["blob:4"]]);
  thumbnail.stop();
  assert.deepEqual([...urls], []);
});

test("a picture that cannot be decoded is not kept", async (t) => {
  const { urls, requests, round } = world(t, { decode: async () => { throw new Error("broken"); } });
  await round();
  await round(4000);
  assert.deepEqual([requests.length, [...urls]], [2, []]);
});

test("a picture that comes after the end is not kept", async (t) => {
  let decoded;
  const { thumbnail, urls, round } = world(t, { decode: () => new Promise((resolve) => { decoded = resolve; }) });
  await round();
  assert.deepEqual([...urls], ["blob:1"]);
  thumbnail.stop();
  decoded();
  await round(4000);
  assert.deepEqual([...urls], []);
});

test("who may not watch is not asked for again and again", async (t) => {
  for (const [status, most] of [[403, 1], [401, 1], [503, 3]]) {
    const { requests, round } = world(t, { status });
    await round();
    for (let i = 0; i < 2; i++) await round(4000);
    assert.equal(requests.length, most, `after ${status}`);
    t.mock.reset();
  }
});
