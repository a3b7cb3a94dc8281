import assert from "node:assert/strict";
import { test } from "node:test";
import { ENHANCED, later, Matcher, ORIGINAL } from "../ui/js/match.js";

const frame = 3600; // RTP ticks of one at 25 fps

/** play feeds frames as [side, rtp, at] and returns what is shown, as "original/enhanced", with * for pairs that match. */
function play(matcher, events) {
  return events.map(([side, rtp, at]) => {
    const pair = matcher.add(side, rtp >>> 0, `${side === ORIGINAL ? "o" : "e"}${rtp}`, at);
    return pair && `${pair.original}/${pair.enhanced}${pair.matched ? "*" : ""}`;
  });
}

test("the enhanced picture waits for nobody, and gets its own original", () => {
  const matcher = new Matcher();
  const events = [];
  for (let i = 0; i < 10; i++) { // the enhanced comes three frames later
    events.push([ORIGINAL, i * frame, i * 40]);
    if (i >= 3) events.push([ENHANCED, (i - 3) * frame, i * 40 + 5]);
  }
  const pairs = play(matcher, events).filter((s) => s?.endsWith("*"));
  assert.deepEqual(pairs, [0, 1, 2, 3, 4, 5, 6].map((i) => `o${i * frame}/e${i * frame}*`));
});

test("an original that is late is waited for", () => {
  const matcher = new Matcher();
  play(matcher, [[ORIGINAL, 0, 0], [ENHANCED, 0, 1]]);
  assert.deepEqual(play(matcher, [[ENHANCED, frame, 40], [ENHANCED, 2 * frame, 80], [ORIGINAL, frame, 90], [ORIGINAL, 2 * frame, 95]]),
    [null, null, `o${frame}/e${frame}*`, `o${2 * frame}/e${2 * frame}*`]);
});

test("a frame without a partner is left out, not shown beside another", () => {
  const matcher = new Matcher();
  const shown = play(matcher, [[ORIGINAL, 0, 0], [ENHANCED, 0, 1], [ORIGINAL, 2 * frame, 80], [ENHANCED, frame, 85], [ENHANCED, 2 * frame, 120]]);
  assert.deepEqual(shown, ["o0/null", "o0/e0*", null, null, `o${2 * frame}/e${2 * frame}*`]);
});

test("whichever side comes first, pairs match", () => {
  for (const first of [ORIGINAL, ENHANCED]) {
    const matcher = new Matcher();
    const events = [];
    for (let i = 0; i < 40; i++) {
      events.push([first, i * frame, i * 40]);
      if (i >= 5) events.push([1 - first, (i - 5) * frame, i * 40 + 5]);
    }
    const pairs = play(matcher, events).filter((s) => s?.endsWith("*"));
    assert.equal(pairs.length, 35, `side ${first} first`);
  }
});

test("when pairs cease to come, single pictures are shown after a while", () => {
  const matcher = new Matcher({ patience: 400 });
  play(matcher, [[ORIGINAL, 0, 0], [ENHANCED, 0, 1]]);
  assert.deepEqual(play(matcher, [[ENHANCED, frame, 300], [ENHANCED, 2 * frame, 401], [ENHANCED, 3 * frame, 402]]), [null, null, `null/e${3 * frame}`]);
  // And pairs again as soon as they come.
  assert.deepEqual(play(matcher, [[ORIGINAL, 4 * frame, 510], [ENHANCED, 4 * frame, 520]]), [null, `o${4 * frame}/e${4 * frame}*`]);
});

test("pictures that never match are shown all the same, the enhanced ones beside older originals", () => {
  const matcher = new Matcher({ patience: 400 });
  const shown = [];
  for (let i = 1; i < 30; i++) shown.push(...play(matcher, [[ORIGINAL, i * frame, i * 40], [ENHANCED, i * frame + 7, i * 40 + 20]]));
  assert.equal(shown.at(-1), `o${29 * frame}/e${29 * frame + 7}`);
  assert.ok(shown.filter(Boolean).length >= 29);
});

test("RTP time wraps", () => {
  assert.equal(later(10, 0xfffffff0), 26);
  const matcher = new Matcher();
  const start = 2 ** 32 - frame;
  const at = (i) => (start + i * frame) % 2 ** 32;
  for (let i = 0; i < 4; i++) {
    matcher.add(ORIGINAL, at(i), i, i * 40);
    assert.equal(matcher.add(ENHANCED, at(i), i, i * 40 + 1)?.matched, true, `frame ${i}`);
  }
});

test("another timeline begins afresh", () => {
  const matcher = new Matcher();
  play(matcher, [[ORIGINAL, 5e6, 0], [ENHANCED, 5e6, 1]]);
  const shown = play(matcher, [[ORIGINAL, 0, 40], [ENHANCED, 0, 60]]);
  assert.equal(shown.at(-1), "o0/e0*", "time that ran back by a minute is no reason to wait a minute");
});

test("every frame is given back once, however it goes", () => {
  const released = [];
  let given = 0;
  const matcher = new Matcher({ capacity: 5, release: (f) => released.push(f) });
  const shown = [];
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let i = 0; i < 2000; i++) {
    for (const side of [ORIGINAL, ENHANCED]) {
      if (random() < 0.2) continue; // lost
      const lag = side === ENHANCED ? 3 : 0;
      const pair = matcher.add(side, (i - lag) * frame, { side, i, id: given++ }, i * 40);
      assert.ok(matcher.waiting.every((n) => n <= 5), "more wait than may");
      if (pair?.matched) assert.equal(pair.original.i, pair.enhanced.i - 3);
      if (pair?.matched) shown.push(pair.original, pair.enhanced);
    }
    if (i % 500 === 499) matcher.reset(i % 1000 === 999 ? undefined : ORIGINAL);
  }
  matcher.reset();
  const all = [...released, ...shown].map((f) => f.id).sort((a, b) => a - b);
  assert.deepEqual(all, Array.from({ length: given }, (_, i) => i));
});
