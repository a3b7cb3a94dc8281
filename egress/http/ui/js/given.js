// What viewers get in place of the stream as it is, in words. No DOM: tested by itself.
import { codecName, size } from "./format.js";

/** renditions reads the header in which RAVE names what it makes for a viewer: "browser, opus". */
export const renditions = (header) => (header ?? "").split(",").map((name) => name.trim()).filter(Boolean);

/**
 * given says what this page gets, if that is not the stream as it is. Of each side it takes {renditions, size}: their names,
 * and the size of the picture that is played, "640x360"; null if it does not play.
 */
export function given({ input = {}, output = {} }, { original, enhanced }) {
  const has = (side, name) => side?.renditions.includes(name) ?? false;
  return [
    has(original, "browser") && converted(input.codec),
    small([
      has(original, "low") && { name: "Original", size: original.size, full: input.size },
      has(enhanced, "low") && { name: "Enhanced", size: enhanced.size, full: output.size },
    ].filter(Boolean)),
    // There is no other sound that RAVE converts.
    (has(enhanced, "opus") || has(original, "opus")) && "Sound converted from AAC to Opus",
  ].filter(Boolean).join("  ·  ");
}

// converted: of H.264, B-frames are all that browsers cannot show.
function converted(codec) {
  return codec === "h264" ? "Original converted to H.264 without B-frames for your browser" : `Original converted from ${codecName(codec)} to H.264 for your browser`;
}

// small: a camera's picture may be as small as the small one, which then has less bits only.
function small(sides) {
  const why = "your network does not carry";
  if (sides.length === 2) {
    const same = sides[0].size === sides[1].size ? `, ${size(sides[0].size)}` : "";
    return `Small pictures${same}: ${why} the full ones`;
  }
  return sides.map((side) => (side.size === side.full ?
    `${side.name} picture with less detail: ${why} all of it` :
    `Small ${side.name.toLowerCase()} picture, ${size(side.size)}: ${why} the full one of ${size(side.full)}`))[0];
}

const shares = { low: "small", browser: "converted for browsers", opus: "with converted sound" };

/** audience counts the viewers of a path, of which what is the name: "3 of the original (1 small)". */
export function audience(what, { count, renditions: made }) {
  const parts = Object.entries(shares).filter(([name]) => made[name] > 0).map(([name, words]) => `${made[name]} ${words}`);
  return `${count} of ${what}${parts.length > 0 ? ` (${parts.join(", ")})` : ""}`;
}
