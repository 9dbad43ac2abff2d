// What a page does beyond HTML: renews the overview, and listens to keys. Nothing depends on it.
"use strict";

const LIVE_MS = 2000;
const CHORD_MS = 1200;

// The part of a page that is renewed while somebody can see it.
const live = document.querySelector("[data-live]");

async function renew() {
  try {
    const response = await fetch(live.dataset.live, { cache: "no-store" });
    if (response.status === 401) return location.reload();
    // It is our own page's HTML, escaped where it was made.
    if (response.ok) live.innerHTML = await response.text();
  } catch {
    // The API restarts, or is out of reach: the next time will tell.
  }
}

if (live) {
  setInterval(() => { if (!document.hidden) renew(); }, LIVE_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) renew(); });
}

const rows = () => [...document.querySelectorAll("table.rows tbody tr")];

function choose(step) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.findIndex((row) => row.classList.contains("chosen"));
  const next = Math.min(Math.max(at + step, 0), all.length - 1);
  all.forEach((row, index) => row.classList.toggle("chosen", index === next));
  all[next].scrollIntoView({ block: "nearest" });
}

function open() {
  const link = document.querySelector("tr.chosen a");
  if (link) link.click();
}

function tick() {
  const box = document.querySelector("tr.chosen input[type=checkbox]");
  if (box) box.checked = !box.checked;
}

const acts = {
  "/": () => document.querySelector("[data-search]").focus(),
  "?": () => document.getElementById("keys").showModal(),
  j: () => choose(1),
  k: () => choose(-1),
  x: tick,
  Enter: open,
};

let chord = 0;

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]):not([type=radio]), select, textarea");
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]") || !document.querySelector("nav")) return;
  if (event.key === "Enter" && event.target !== document.body) return;
  if (Date.now() - chord < CHORD_MS) {
    chord = 0;
    const tab = [...document.querySelectorAll("nav a")].find((link) => link.dataset.key === event.key);
    if (tab) {
      event.preventDefault();
      tab.click();
    }
    return;
  }
  if (event.key === "g") {
    chord = Date.now();
    return;
  }
  if (Object.hasOwn(acts, event.key)) {
    event.preventDefault();
    acts[event.key]();
  }
});
