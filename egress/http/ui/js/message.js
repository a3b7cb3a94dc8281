// Chooses the one thing that a viewer must know now, if any. No DOM: tested by itself.
//
// A message is {kind, title, detail, key, dim, since}: kind "wait" (nothing is wrong), "warn" (it works, not as asked
// for) or "bad"; dim if the picture is old; since and next, moments whose distance from now is to be counted on the screen
// (counting says); key, the configuration key that changes it.
import { between, sentence, span } from "./format.js";

/**
 * choose looks, most important first, at: the link to RAVE ({problem}), the stream's status (null: RAVE has none of that
 * name; undefined: not known yet), and the players' states ({enhanced, original}: {phase, problem}).
 */
export function choose({ link, stream, players }) {
  return fromLink(link, players) ?? fromStream(stream) ?? fromPlayers(players, stream) ?? fromEnhancer(stream) ?? null;
}

// fromLink: a picture that still plays is worth more than the numbers that are missing.
function fromLink({ problem }, { enhanced }) {
  if (!problem) return null;
  const playing = enhanced.phase === "playing";
  const detail = [problem.detail && sentence(problem.detail), problem.denied ? "Reload the page to log in." : "Trying again."].filter(Boolean).join(" ");
  return { kind: playing ? "warn" : "bad", dim: !playing, title: problem.title, detail, key: problem.key };
}

function fromStream(stream) {
  if (stream === null) {
    return { kind: "bad", dim: true, title: "This stream is not in the configuration any more", key: "streams" };
  }
  if (!stream || stream.state === "online") return null;
  const detail = stream.reason ? sentence(stream.reason) : "";
  if (stream.publish) {
    return { kind: "wait", dim: true, title: "Waiting for a publisher", detail: "", since: stream.since };
  }
  const seen = stream.input?.frames > 0;
  return {
    kind: seen ? "bad" : "wait", dim: true, title: seen ? "The camera is away" : "The camera has not been seen yet", detail,
    since: seen ? stream.since : undefined, next: stream.next_try,
  };
}

/** counting writes how long a message holds and when something is tried next; now is RAVE's time. */
export function counting({ since, next }, now) {
  const until = between(now, next);
  return [since && `for ${span(between(since, now))}`, until > 0 && `next attempt in ${span(until)}`].filter(Boolean).join(", ");
}

function fromPlayers({ enhanced, original }, stream) {
  if (enhanced.problem) {
    const { title, detail, key } = enhanced.problem;
    return { kind: "bad", dim: true, title, detail: detail && sentence(detail), key };
  }
  if (stream?.reason && stream.state === "online") { // the camera delivers, but nothing is made of it
    return { kind: "bad", dim: true, title: "There is no enhanced picture", detail: sentence(stream.reason) };
  }
  if (enhanced.phase === "connecting") return { kind: "wait", dim: false, title: "Connecting", detail: "" };
  if (original?.problem) {
    const { title, detail, key } = original.problem;
    return { kind: "warn", dim: false, title: `Only the enhanced picture: ${lower(title)}`, detail, key };
  }
  return null;
}

// fromEnhancer says when a lighter enhancer than the one that is wanted makes the picture.
function fromEnhancer(stream) {
  const [best] = stream?.enhancers ?? [];
  if (!best || !stream.enhancer || stream.enhancer === best.name) return null;
  const instead = `${stream.enhancer} makes the picture instead.`;
  switch (best.reason_code) {
    case "loading":
      return { kind: "wait", dim: false, title: `${best.name} is loading`, detail: instead };
    case "slow":
      return {
        kind: "warn", dim: false, title: `${best.name} is too slow for this machine`,
        detail: `${instead} The better one returns by itself when it can hold the frame rate.`, key: "quality",
      };
    case "failed":
      return { kind: "warn", dim: false, title: `${best.name} cannot be used`, detail: `${instead} ${sentence(best.reason)}`, key: "models" };
    default: // it could serve, and will in a moment
      return null;
  }
}

const lower = (text) => text.charAt(0).toLowerCase() + text.slice(1);
