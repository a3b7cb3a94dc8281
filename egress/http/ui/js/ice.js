// Says in words why WebRTC could not connect, and which key of RAVE's configuration changes it. No DOM: tested by itself.

/** candidates lists what an SDP offers to connect to: {protocol, address, port, type} (RFC 8839 section 5.1). */
export function candidates(sdp) {
  const found = [];
  for (const line of sdp.split(/\r?\n/)) {
    const m = /^a=candidate:\S+ \d+ (\S+) \d+ (\S+) (\d+) typ (\S+)/.exec(line);
    if (m) found.push({ protocol: m[1].toLowerCase(), address: m[2], port: Number(m[3]), type: m[4] });
  }
  return found.filter((c, i) => i === found.findIndex((d) => at(d) === at(c)));
}

const at = (c) => `${c.address.includes(":") ? `[${c.address}]` : c.address}:${c.port} (${c.protocol.toUpperCase()}${c.type === "relay" ? ", relayed" : ""})`;

const loopback = (host) => /^(127\.|localhost$|\[?::1\]?$)/.test(host);
const isPrivate = (host) => /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|\[?f[cde])/i.test(host);

/**
 * explain takes the host that the page was loaded from, RAVE's candidates and whether the browser had a relay (TURN).
 * The causes are ordered: the first that fits is the one to mend first.
 */
export function explain({ host, offered, relay }) {
  const title = "WebRTC cannot connect";
  if (offered.length === 0) {
    return { title, detail: "RAVE offered no address to connect to.", key: "webrtc.listen" };
  }
  const tried = `Tried without an answer: ${offered.map(at).join(", ")}.`;
  const say = (cure, key) => ({ title, detail: `${tried} ${cure}`, key });
  const direct = offered.filter((c) => c.type !== "relay");
  if (!loopback(host) && direct.every((c) => loopback(c.address))) {
    return say("RAVE offers this port to its own machine only.", "webrtc.listen");
  }
  if (!loopback(host) && !isPrivate(host) && direct.every((c) => loopback(c.address) || isPrivate(c.address))) {
    return say("None of these can be reached from outside RAVE's network: name the address that can.", "webrtc.public_addresses");
  }
  if (!offered.some((c) => c.protocol === "tcp")) {
    return say("A firewall may keep UDP back: open the port, or let RAVE listen on TCP as well.", "webrtc.tcp_listen");
  }
  if (!relay) {
    return say("A firewall may keep both ports back: open them, or name a TURN server.", "webrtc.ice_servers");
  }
  return say("A firewall keeps these ports back, and the TURN server did not help either.", "webrtc.ice_servers");
}

/** iceServers reads the Link headers of a WHEP answer (draft-ietf-wish-whep section 4.4). */
export function iceServers(link) {
  const servers = [];
  for (const [, url, rest] of (link ?? "").matchAll(/<((?:stuns?|turns?):[^>]+)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^,;]+))*)/gi)) {
    const parameters = {};
    for (const [, name, quoted, bare] of rest.matchAll(/;\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^,;]+))/g)) {
      parameters[name.toLowerCase()] = quoted !== undefined ? quoted.replace(/\\(.)/g, "$1") : bare.trim();
    }
    if (parameters.rel !== "ice-server") continue;
    const server = { urls: url };
    if (parameters.username) Object.assign(server, { username: parameters.username, credential: parameters.credential ?? "" });
    servers.push(server);
  }
  return servers;
}

/** fragment is the body of a trickle PATCH (RFC 8840 section 9). */
export function fragment(sdp, found) {
  const line = (name) => sdp.split(/\r?\n/).find((l) => l.startsWith(`a=${name}:`));
  const media = sdp.split(/\r?\n/).find((l) => l.startsWith("m="));
  const mid = line("mid");
  const lines = [line("ice-ufrag"), line("ice-pwd"), media, mid, ...found.map((c) => (c ? `a=${c}` : "a=end-of-candidates"))];
  return lines.filter(Boolean).join("\r\n") + "\r\n";
}
