import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates, explain, fragment, iceServers } from "../ui/js/ice.js";
import { choose, counting } from "../ui/js/message.js";

const playing = { phase: "playing", problem: null };
const fine = {
  link: { problem: null }, players: { enhanced: playing, original: playing },
  stream: { state: "online", enhancer: "live-x2", enhancers: [{ name: "live-x2" }, { name: "lanczos" }], input: { frames: 9 } },
};

test("there is no message while all is well", () => assert.equal(choose(fine), null));

test("what matters most is said", () => {
  const away = { state: "waiting", reason: "connect: no route to host", since: "2025-03-01T12:00:00Z", next_try: "2025-03-01T12:00:09Z", input: { frames: 9 } };
  const refused = { phase: "waiting", problem: { title: "WebRTC cannot connect", detail: "Tried it.", key: "webrtc.tcp_listen" } };
  const down = { problem: { title: "RAVE does not answer", detail: "" } };
  const slow = { ...fine.stream, enhancer: "lanczos", enhancers: [
    { name: "live-x2", reason: "live-x2 hält die Bildrate nicht", reason_code: "slow" }, { name: "lanczos" }] };
  const cases = {
    "no link": [{ link: down, stream: away, players: { enhanced: refused } }, { kind: "bad", dim: true, title: /does not answer/, detail: /Trying again/ }],
    "no link, but it plays": [{ link: down }, { kind: "warn", dim: false, title: /does not answer/ }],
    "stream is gone": [{ stream: null }, { kind: "bad", dim: true, title: /not in the configuration/, key: "streams" }],
    "camera away": [{ stream: away, players: { enhanced: refused } }, { kind: "bad", dim: true, title: /away/, detail: /^Connect: no route to host\.$/ }],
    "never seen": [{ stream: { ...away, input: { frames: 0 } } }, { kind: "wait", dim: true, title: /not been seen/ }],
    "no publisher": [{ stream: { ...away, publish: true } }, { kind: "wait", dim: true, title: /publisher/ }],
    "cannot connect": [{ players: { enhanced: refused, original: refused } }, { kind: "bad", dim: true, title: /cannot connect/, key: "webrtc.tcp_listen" }],
    "nothing is made": [{ stream: { ...fine.stream, reason: "no enhanced picture for 5s" } }, { kind: "bad", dim: true, title: /no enhanced picture/ }],
    "connecting": [{ players: { enhanced: { phase: "connecting" } } }, { kind: "wait", dim: false, title: /Connecting/ }],
    "no original": [{ players: { enhanced: playing, original: refused } }, { kind: "warn", dim: false, title: /^Only the enhanced picture: webRTC/ }],
    "too slow": [{ stream: slow }, { kind: "warn", dim: false, title: /live-x2 is too slow/, detail: /^lanczos makes the picture instead\. The better one returns by itself when/, key: "quality" }],
    "broken": [{ stream: { ...slow, enhancers: [{ name: "x", reason: "its input is too slow to read", reason_code: "failed" }] } },
      { kind: "warn", title: /x cannot be used/, detail: /^lanczos makes the picture instead\. Its input is too slow to read\.$/, key: "models" }],
    "loading": [{ stream: { ...slow, enhancers: [{ name: "live-x2", reason_code: "loading" }] } }, { kind: "wait", dim: false, title: /loading/ }],
  };
  for (const [what, [change, want]] of Object.entries(cases)) {
    const got = choose({ ...fine, ...change });
    for (const [key, value] of Object.entries(want)) {
      if (value instanceof RegExp) assert.match(got[key], value, `${what}: ${key}`);
      else assert.equal(got[key], value, `${what}: ${key}`);
    }
  }
  assert.equal(choose({ ...fine, stream: { ...slow, enhancers: [{ name: "live-x2" }] } }), null, "loaded, and about to serve");
  assert.equal(counting(choose({ ...fine, stream: away }), "2025-03-01T12:00:05Z"), "for 5 s, next attempt in 4 s");
  assert.equal(counting({}, new Date()), "");
});

const udp = { protocol: "udp", address: "127.0.0.1", port: 8189, type: "host" };
const tcp = { ...udp, protocol: "tcp" };
const at = (address, ...list) => list.map((c) => ({ ...c, address }));

test("why WebRTC cannot connect, with the key that helps", () => {
  for (const [host, offered, relay, key, words] of [
    ["192.168.1.5", [], false, "webrtc.listen", /no address/],
    ["192.168.1.5", [udp, tcp], false, "webrtc.listen", /127\.0\.0\.1:8189 \(UDP\), 127\.0\.0\.1:8189 \(TCP\).*own machine only/],
    ["rave.example.org", at("192.168.1.5", udp, tcp), false, "webrtc.public_addresses", /outside/],
    ["192.168.1.5", at("192.168.1.5", udp), false, "webrtc.tcp_listen", /TCP as well/],
    ["192.168.1.5", at("192.168.1.5", udp, tcp), false, "webrtc.ice_servers", /TURN/],
    ["127.0.0.1", [udp, tcp], true, "webrtc.ice_servers", /did not help/],
    ["203.0.113.9", at("2001:db8::1", udp, tcp), false, "webrtc.ice_servers", /\[2001:db8::1\]:8189/],
  ]) {
    const said = explain({ host, offered, relay });
    assert.equal(said.key, key, JSON.stringify(offered));
    assert.match(said.detail, words);
  }
});

test("candidates of an answer", () => {
  const sdp = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=candidate:1 1 udp 2130706431 127.0.0.1 8189 typ host ufrag x\r\n" +
    "a=candidate:2 1 tcp 1671430143 127.0.0.1 8189 typ host tcptype passive\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1 1 udp 2130706431 127.0.0.1 8189 typ host\r\n";
  assert.deepEqual(candidates(sdp), [udp, tcp]);
});

test("ICE servers of Link headers", () => {
  const link = '<stun:stun.example.net>; rel="ice-server", ' +
    '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="a, \\"b\\""; credential="p;w"; credential-type="password", </x>; rel="next"';
  assert.deepEqual(iceServers(link), [
    { urls: "stun:stun.example.net" }, { urls: "turn:turn.example.net?transport=udp", username: 'a, "b"', credential: "p;w" }]);
  assert.deepEqual(iceServers(null), []);
});

test("a fragment has what RFC 8840 wants", () => {
  const sdp = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=mid:0\r\nm=audio 9 X 1\r\na=mid:1\r\n";
  assert.equal(fragment(sdp, ["candidate:1 1 udp 1 192.0.2.1 5 typ host", null]),
    "a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n");
});
