// What lies behind the numbers: how long each stage takes, who may make the picture, what was given up, and where the
// stream can be had.
import { byId, el, icon, setText } from "./dom.js";
import { codecName, count, milliseconds, percent, size, span, between } from "./format.js";
import { audience } from "./given.js";

export class Details {
  #shown = "";

  /** update takes a stream's status; now is RAVE's time. */
  update(stream, now) {
    const text = JSON.stringify([stream.stages, stream.enhancers, stream.enhancer, stream.drops, stream.plan, stream.source, stream.readers, stream.viewers, stream.reconnects]);
    if (text === this.#shown) return; // somebody may be selecting in it
    this.#shown = text;
    byId("stages").replaceChildren(...stages(stream));
    byId("enhancers").replaceChildren(...enhancers(stream));
    byId("drops").replaceChildren(...drops(stream));
    byId("facts").replaceChildren(...facts(stream, now));
  }
}

// stages draws each stage's share of a picture's way as a bar: waiting pale, work full.
function stages({ stages: list = [], latency = {} }) {
  const total = Math.max(1e-9, ...[latency.p95_ms ?? 0], list.reduce((sum, s) => sum + s.wait.p95_ms + s.work.p95_ms, 0));
  if (list.length === 0) return [el("li", { class: "none" }, "No picture has been made yet.")];
  let at = 0;
  return list.map((stage) => {
    const bar = el("span", { class: "bar" });
    const from = at;
    at += stage.wait.p50_ms + stage.work.p50_ms;
    set(bar, { "--from": from / total, "--wait": stage.wait.p50_ms / total, "--work": stage.work.p50_ms / total });
    return row(stage.name, bar, `${milliseconds(stage.wait.p50_ms + stage.work.p50_ms)} ms`,
      `95 % within ${milliseconds(stage.wait.p95_ms + stage.work.p95_ms)} ms`);
  });
}

function enhancers({ enhancers: list = [], enhancer }) {
  return list.map(({ name, share, reason }) => {
    const bar = el("span", { class: "bar" });
    set(bar, { "--from": 0, "--wait": 0, "--work": share });
    return row([name, name === enhancer && el("em", {}, "now")], bar, percent(share), reason);
  });
}

function row(name, bar, value, note = "") {
  return el("li", { class: "row" },
    el("span", { class: "row-name" }, name), bar, el("span", { class: "row-value" }, value), note && el("span", { class: "row-note" }, note));
}

function drops({ drops: list = [] }) {
  if (list.length === 0) return [el("li", { class: "none" }, "Nothing has been dropped.")];
  return list.map(({ stage, reason, count: n }) => el("li", { class: "row plain" },
    el("span", { class: "row-name" }, stage), el("span", { class: "row-what" }, reason.replaceAll("_", " ")), el("span", { class: "row-value" }, count(n))));
}

function facts(stream, now) {
  const line = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return [
    line("Enhanced", address(stream.enhanced_url)),
    line("Original", address(stream.original_url)),
    line("Source", stream.publish ? "a publisher" : el("code", {}, stream.source)),
    stream.plan && line("Plan", stream.plan),
    line("Readers", `${stream.readers.enhanced} of the enhanced picture, ${stream.readers.original} of the original`),
    line("In browsers", `${audience("the enhanced picture", stream.viewers.enhanced)}, ${audience("the original", stream.viewers.original)}`),
    line("Reconnects", count(stream.reconnects)),
    stream.since && line(stream.state === "online" ? "Live for" : "Away for", span(between(stream.since, now))),
  ].filter(Boolean);
}

function address(url) {
  const said = el("span", { class: "copied", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(url);
      setText(said, "copied");
    } catch { // only pages from loopback or by HTTPS may
      getSelection().selectAllChildren(code);
      setText(said, "selected: copy it by hand");
    }
  };
  const code = el("code", {}, url);
  return [code, el("button", { type: "button", class: "quiet small", "aria-label": `Copy ${url}`, onclick: copy }, icon("copy")), said];
}

/** placard is the line below a picture's name: who made it, of what, what it became. */
export function placard(stream, maker) {
  const { input = {}, output = {} } = stream;
  if (!input.size) return "";
  return [
    maker && `Enhanced by ${maker}`,
    output.size ? `${size(input.size)} → ${size(output.size)}` : size(input.size),
    codecName(input.codec),
  ].filter(Boolean).join("  ·  ");
}

// set gives a bar its lengths. (The content security policy forbids style attributes, not this.)
function set(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, String(Math.min(1, value)));
}
