// Time that stands still until a test moves it on.

/** stopTime makes a test's setTimeout wait for t.mock.timers.tick. Node.js 18 takes a list, later versions an object. */
export function stopTime(t) {
  const apis = ["setTimeout"];
  try {
    t.mock.timers.enable({ apis });
  } catch {
    t.mock.timers.enable(apis);
  }
}
