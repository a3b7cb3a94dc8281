// What RAVE tells of the picture on the screen, which is older than the last one that it has made: found by RTP time.
// No DOM: tested by itself.
import { later } from "./match.js";

const minute = 60 * 90000; // RTP ticks

/**
 * makerAt returns which enhancer made the picture of an RTP time, from the stream's changes ([{rtp, enhancer}], oldest
 * first). A change of long ago may seem to lie ahead, since RTP time wraps. Without the list, or the time, it is the
 * enhancer of the last picture.
 */
export function makerAt({ made = [], enhancer = "" }, rtp) {
  if (rtp === null) return enhancer;
  const before = made.findLast((change) => {
    const ahead = later(change.rtp, rtp);
    return ahead <= 0 || ahead > minute;
  });
  return before?.enhancer ?? made[0]?.enhancer ?? enhancer;
}

/** capturedAt returns when the picture of an RTP time was captured, in milliseconds since 1970; NaN if that is not known. */
export function capturedAt({ captured }, rtp) {
  if (!captured || rtp === null) return NaN;
  return new Date(captured.time).getTime() + later(rtp, captured.rtp) / 90;
}
