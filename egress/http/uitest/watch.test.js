import assert from "node:assert/strict";
import { test } from "node:test";
import { followClock, problemOf, watchStreams } from "../ui/js/api.js";
import { choose } from "../ui/js/message.js";
import { stopTime } from "./timers.js";

// world stands in for the browser: event sources that say what the test wants, and requests that are answered when it wants.
function world(t) {
  stopTime(t);
  const sources = [];
  const requests = [];
  globalThis.EventSource = class extends EventTarget {
    static CLOSED = 2;
    readyState = 1;
    constructor() {
      super();
      sources.push(this);
    }
    close() { this.readyState = 2; }
    say(streams) { this.dispatchEvent(Object.assign(new Event("streams"), { data: JSON.stringify(streams) })); }
    fail() {
      this.readyState = 2;
      this.dispatchEvent(new Event("error"));
    }
  };
  t.mock.method(globalThis, "fetch", (path, options) => new Promise((resolve, reject) => {
    requests.push({ path, options, reject, answer: (body, status = 200, headers = {}) => resolve(new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } })) });
  }));
  return { sources, requests };
}

// settled waits until promises that can go on have done so.
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("an answer that comes behind newer events is dropped", async (t) => {
  const { sources, requests } = world(t);
  const seen = [];
  const stop = watchStreams((s) => seen.push(s[0]), (problem) => seen.push(problem.title));
  sources[0].say(["event 1"]);
  sources[0].fail();
  t.mock.timers.tick(2000); // it connects again
  sources[1].say(["event 2"]);
  requests[0].answer(["answer 1"]);
  await settled();
  assert.deepEqual(seen, ["event 1", "event 2"]);

  sources[1].fail();
  t.mock.timers.tick(2000);
  sources[2].fail();
  requests[2].answer(["answer 3"]);
  await settled();
  requests[1].answer(["answer 2"]); // to the earlier question
  await settled();
  assert.deepEqual(seen.splice(0), ["event 1", "event 2", "answer 3"]);

  t.mock.timers.tick(2000);
  sources[3].fail();
  t.mock.timers.tick(2000);
  sources[4].say(["event 3"]);
  requests[3].reject(new Error("the network was away"));
  await settled();
  assert.deepEqual(seen.splice(0), ["event 3"], "an old failure is none");

  sources[4].fail();
  requests[4].answer(["answer 4"]);
  await settled();
  assert.deepEqual(seen.splice(0), ["answer 4"], "what is newest counts, without events as well");
  t.mock.timers.tick(2000);
  sources[5].fail();
  stop();
  requests[5].answer(["answer 5"]);
  await settled();
  t.mock.timers.tick(60000);
  assert.deepEqual([seen, sources.length, requests.length], [[], 6, 6], "nothing comes after the end");
});

test("who is not let in is told so, and RAVE is left in peace", async (t) => {
  for (const status of [401, 403, 503]) {
    const { sources, requests } = world(t);
    const problems = [];
    watchStreams(() => {}, (problem) => problems.push(problem));
    sources[0].fail();
    requests[0].answer({ detail: "log in, as a user" }, status);
    await settled();
    t.mock.timers.tick(60000);
    const denied = status !== 503;
    assert.equal(sources.length === 1, denied, `${status}: connected ${sources.length} times`);
    assert.equal(problems[0].denied, denied);
    const { title, detail } = choose({ link: { problem: problems[0] }, players: { enhanced: { phase: "waiting" } } });
    assert.equal(detail, denied ? "Log in, as a user. Reload the page to log in." : "Log in, as a user. Trying again.", title);
    t.mock.reset();
  }
});

test("RAVE's clock is asked for where every viewer may ask", async (t) => {
  const { requests } = world(t);
  const offsets = [];
  const asked = followClock((ms) => offsets.push(ms));
  t.mock.timers.tick(0);
  await settled();
  assert.deepEqual([requests[0].path, requests[0].options.method], ["/api/v1/streams", "HEAD"]);
  requests[0].answer(null, 200, { "Rave-Time": new Date(Date.now() + 3600e3).toISOString() });
  await settled();
  assert.ok(Math.abs(offsets[0] - 3600e3) < 1000, `an hour ahead, and ${offsets[0]} ms are said`);
  t.mock.timers.tick(1000);
  await settled();
  requests[1].answer({}, 403);
  await assert.rejects(asked, (problem) => problem.denied);
});

test("a problem is read with the setting that changes it", async () => {
  const answer = (body, type = "application/problem+json") => new Response(body, { status: 403, headers: { "Content-Type": type } });
  const said = await problemOf(answer(JSON.stringify({ title: "Forbidden", status: 403, detail: "not this page", key: "http.origins" })));
  assert.deepEqual([said.title, said.detail, said.key, said.status], ["You may not do this", "not this page", "http.origins", 403]);
  assert.equal(choose({ link: { problem: said }, players: { enhanced: { phase: "waiting" } } }).key, "http.origins");
  const typed = await problemOf(answer(JSON.stringify({ type: "urn:x", title: "Own title" })));
  assert.deepEqual([typed.title, typed.key], ["Own title", ""]);
  assert.equal((await problemOf(answer("not JSON"))).title, "You may not do this");
  assert.equal((await problemOf(answer("a proxy's page", "text/html"))).detail, "a proxy's page");
});
