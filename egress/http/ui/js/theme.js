"use strict";
// Runs before the first paint, so that a page that is set to dark does not flash white. Not a module: those wait.
(function () {
  const key = "rave-theme";
  const root = document.documentElement;
  try {
    const saved = localStorage.getItem(key);
    if (saved === "light" || saved === "dark") root.dataset.theme = saved;
  } catch { /* storage is forbidden: the system's choice stays */ }

  // dark reports what is seen now, whoever chose it.
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;

  addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      const say = () => button.setAttribute("aria-label", dark() ? "Use the light theme" : "Use the dark theme");
      say();
      button.addEventListener("click", () => {
        root.dataset.theme = dark() ? "light" : "dark";
        try { localStorage.setItem(key, root.dataset.theme); } catch { /* until the page is left, then */ }
        say();
      });
    }
  });
})();
