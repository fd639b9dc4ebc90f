// Asks once a second how everything does, and draws it. After the line was started again it goes on by itself.

import { byId, duration, make, number, say, when } from "./dom.js";
import { Events } from "./events.js";
import { inTrouble, Line } from "./line.js";
import { get, who } from "./server.js";

const lines = new Map();
let heat = false, started = null, rounds = 0;
const events = new Events(() => heat);

function setHeat(on) {
  heat = on;
  byId("heat").setAttribute("aria-pressed", String(on));
  for (const line of lines.values()) line.setHeat(on);
  events.setHeat(on);
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").setAttribute("aria-pressed", String(dark));
  try { localStorage.setItem("theme", dark ? "dark" : "light"); } catch { /* not kept */ }
}

const COLOURS = { ok: "well", running: "well" };

function row(name, kind, state, bad, done, waiting, lost, why) {
  const cells = [["Kind", kind, ""], ["State", state, bad ? "bad" : COLOURS[state]], ["Done", done, "n"], ["Waiting", waiting, "n"],
    ["Lost", lost, lost && kind.startsWith("sink") ? "n bad" : "n"], ["Why", why ?? "", ""]];
  return make("tr", { role: "row" }, make("th", { scope: "row", role: "rowheader" }, name),
    ...cells.map(([label, text, kept]) => make("td", { role: "cell", "data-label": label, class: kept }, String(text))));
}

// Of a sink that sends on, what was taken at the other end, what still waits for it, and what it will never get.
function sinkRow({ name, type, state, written, waiting, unsent, dropped, set_aside, set_aside_reason, reason, counts }) {
  const { sent, overflowed, refused, stale, late } = { overflowed: 0, refused: 0, stale: 0, late: 0, ...counts };
  const told = [[overflowed, "for want of room"], [refused, "refused at the other end"], [stale, "too old to be told"], [late, "not acknowledged in time"]];
  return row(name, `sink ${type}`, state, state !== "ok" && state !== "closed", sent ?? written - stale, waiting + (unsent ?? 0),
    dropped + set_aside + overflowed + refused + stale, reason ?? set_aside_reason ?? told.filter(([count]) => count).map(([count, why]) => `${count} ${why}`).join(", "));
}

function drawAlarm(status) {
  const counted = (count, what) => (count ? `${count} ${what}${count > 1 ? "s" : ""}` : "");
  const told = [counted(status.lines.filter(inTrouble).length, "source"),
    counted(status.sinks.filter((sink) => sink.state === "failing" || sink.state === "stalled").length, "sink")].filter(Boolean).join(", ");
  say(byId("alarm"), told && `in trouble: ${told}`);
}

function drawEnds(status) {
  byId("ends").replaceChildren(
    ...status.lines.map((line) => row(line.name, `source ${line.source}`, line.state, inTrouble(line), line.scored, line.waiting,
      line.dropped + (line.withheld ?? 0) + line.refused + line.no_answer, line.reason)),
    ...status.sinks.map(sinkRow));
  const told = status.errors.slice(-8).reverse();
  byId("errors").replaceChildren(...(told.length ? told.map((entry) =>
    make("li", {}, `${when(entry.time)} ${entry.who}: ${entry.reason}${entry.count > 1 ? ` (${entry.count} times)` : ""}`)) : [make("li", {}, "none")]));
}

async function round() {
  const status = await get("api/status");
  if (!status.lines) return;
  if (started !== null && started !== status.started) {
    events.restarted();
    for (const line of lines.values()) line.restarted();
  }
  started = status.started;
  drawAlarm(status);
  const models = status.engine.models.map((model) => model.backend).join(", ");
  say(byId("about"), `${status.config.file}, ${status.state}, ${models}, ${number(status.engine.frames_per_s)} frames/s, up ${duration(status.uptime_s)}`);
  for (const one of status.lines) {
    if (lines.has(one.name)) continue;
    const line = new Line(one.name, heat);
    lines.set(one.name, line);
    byId("lines").append(line.element);
  }
  for (const [name, line] of lines) {
    if (status.lines.some((one) => one.name === name)) continue;
    line.gone = true;
    line.element.remove();
    lines.delete(name);
  }
  if (rounds++ % 5 === 0) {
    const { recipes } = await get("api/recipes");
    for (const line of lines.values()) line.recipes(recipes);
  }
  const known = await get("api/lines");
  byId("heat").hidden = !Object.values(known).some((line) => line.heat);
  await Promise.all(status.lines.map((one) => lines.get(one.name).update(one, known[one.name])));
  await events.update();
  drawEnds(status);
}

async function forever() {
  for (;;) {
    try {
      if (!document.hidden || started === null) await round();
      say(byId("link"), "live");
      byId("link").className = "well";
    } catch (error) {
      say(byId("link"), `not live: ${error.name === "TimeoutError" ? "no answer" : error.status ? error.message : "no connection"}; trying again`);
      byId("link").className = "bad";
      for (const line of lines.values()) line.setOld("not live: the line does not answer");
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

byId("heat").addEventListener("click", () => setHeat(!heat));
byId("name").value = who.name;
byId("name").addEventListener("input", () => { who.name = byId("name").value.trim(); });
byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, dialog")) return;
  const act = { h: () => setHeat(!heat), d: () => byId("theme").click(), "/": () => byId("search").focus() }[event.key];
  if (act) { event.preventDefault(); act(); }
});
let kept = null;
try { kept = localStorage.getItem("theme"); } catch { /* not kept */ }
setTheme(kept === null ? matchMedia("(prefers-color-scheme: dark)").matches : kept === "dark");
forever();
