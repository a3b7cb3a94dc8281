"use strict";
// Fetches this page every two seconds and takes over its content, so that the server alone decides what is shown and
// how it is escaped. Says so when the server does not answer: a picture of the past must not look like the present.
const pause = 2000;
const stale = document.getElementById("stale");
let answered = new Date();

async function refresh() {
  const response = await fetch(location.pathname, { signal: AbortSignal.timeout(10000) });
  if (!response.ok) {
    throw new Error(response.status === 401 ? "you need to log in again" : "it answers " + response.status);
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const next = page.getElementById("status");
  if (!next) {
    throw new Error("something else answers");
  }
  document.getElementById("status").replaceWith(document.adoptNode(next));
}

function selecting() {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed;
}

async function loop() {
  if (!document.hidden && !selecting()) {
    try {
      await refresh();
      answered = new Date();
      stale.hidden = true;
    } catch (error) {
      const why = error.name === "Error" ? error.message : "it does not answer";
      stale.textContent = "RAVE cannot be reached: " + why + ". What you see is from " + answered.toLocaleTimeString() + ".";
      stale.hidden = false;
    }
  }
  setTimeout(loop, pause);
}

setTimeout(loop, pause);
