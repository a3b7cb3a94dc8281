// RAVE's own API. Errors are Problems: a title, what exactly, and where one changes it, the setting's key (RFC 9457).

export class Problem extends Error {
  constructor({ title, detail = "", status = 0, key = "" }) {
    super(title);
    Object.assign(this, { name: "Problem", title, detail, status, key });
  }

  /** denied says that RAVE will not answer this visitor, however often it is asked. */
  get denied() {
    return this.status === 401 || this.status === 403;
  }
}

/** problemOf reads what a response that is not ok says. */
export async function problemOf(response) {
  const text = await response.text().catch(() => "");
  const known = { status: response.status, title: titles[response.status] ?? `RAVE answers ${response.status}` };
  if (!(response.headers.get("Content-Type") ?? "").includes("json")) {
    return new Problem({ ...known, detail: text.slice(0, 300).trim() });
  }
  try {
    const { type, title, detail, key } = JSON.parse(text);
    return new Problem({ ...known, ...(type && title && { title }), detail, key }); // a type of its own has a title that tells more
  } catch {
    return new Problem(known);
  }
}

const titles = {
  401: "You need to log in",
  403: "You may not do this",
  404: "There is no such stream",
  413: "That is too large",
  429: "Too many requests",
  503: "RAVE cannot do this now",
};

const unreachable = () => new Problem({ title: "RAVE does not answer", detail: "Is it running, and does the network reach it?" });

/** request returns a good response or throws a Problem. It waits ten seconds, or as long as options.signal lets it. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(10000), ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export const getJSON = async (path) => (await request(path)).json();

export async function postJSON(path, body, signal = AbortSignal.timeout(30000)) {
  const response = await request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
  return response.status === 204 ? null : response.json();
}

/**
 * followClock calls onOffset with RAVE's clock less ours in milliseconds: what RAVE dates must be counted by RAVE's clock.
 * An answer that took long says little, so of some attempts the quickest counts. Whoever may watch may ask this.
 */
export async function followClock(onOffset) {
  let best = Infinity;
  for (const pause of [0, 1000, 2000, 4000, 8000]) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const asked = performance.now();
    const { headers } = await request("/api/v1/streams", { method: "HEAD" });
    const took = performance.now() - asked;
    if (took >= best) continue;
    best = took;
    onOffset(new Date(headers.get("Rave-Time")) - (Date.now() - took / 2));
  }
}

/**
 * watchStreams calls onStreams with all streams about once a second, and onProblem when they cease to come, until the
 * returned function is called, or RAVE will not have this visitor. The browser reconnects by itself, but neither after an
 * HTTP error nor out of a connection that has gone silent, so silence is looked for here.
 */
export function watchStreams(onStreams, onProblem) {
  const silence = 6000;
  let source = null;
  let timer = 0;
  let asked = 0; // counts events and questions
  let told = 0; // which of them was told last: an answer that comes behind what is newer is old
  const wait = (delay, then) => {
    clearTimeout(timer);
    timer = setTimeout(then, delay);
  };
  const open = () => {
    source?.close();
    source = new EventSource("/api/v1/events");
    source.addEventListener("streams", (event) => {
      wait(silence, broken);
      told = ++asked;
      onStreams(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) broken();
    });
    wait(silence, broken);
  };
  const broken = async () => {
    source.close();
    wait(2000, open);
    const turn = ++asked;
    const tell = (then) => {
      if (turn < told) return;
      told = turn;
      then();
    };
    try { // EventSource does not tell why; a plain request does
      const streams = await getJSON("/api/v1/streams");
      tell(() => onStreams(streams));
    } catch (problem) {
      tell(() => {
        if (problem.denied) stop();
        onProblem(problem);
      });
    }
  };
  const stop = () => {
    told = Infinity;
    clearTimeout(timer);
    source.close();
  };
  open();
  return stop;
}
