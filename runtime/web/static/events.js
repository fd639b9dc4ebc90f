// What was not good: pictures, searched, marked right or false alarm.

import { byId, make, say, when as told } from "./dom.js";
import { get, part, post } from "./server.js";

const MOST = 200, STEP = 14;

export class Events {
  constructor(heatOn) {
    this.heatOn = heatOn;
    this.kept = [];
    this.marks = {};
    this.after = 0;
    this.shown = STEP;
    byId("search").addEventListener("input", () => this.draw());
    byId("more").addEventListener("click", () => { this.shown += 2 * STEP; this.draw(); });
    byId("close").addEventListener("click", () => byId("large").close());
  }

  restarted() { this.after = 0; this.kept = []; }

  async update() {
    const { events, marks } = await get(`api/events?after=${this.after}`);
    const same = JSON.stringify(marks) === JSON.stringify(this.marks);
    if (!events.length && same && this.drawn) return;
    this.marks = marks;
    if (events.length) this.after = events.at(-1).number;
    const again = new Set(events.map((event) => event.event_id));
    this.kept = this.kept.filter((event) => !again.has(event.event_id)).concat(events).slice(-MOST);
    this.draw();
  }

  draw() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (event) => [event.line, event.part_id, event.decision, event.reason, event.timestamp, event.source, event.recipe,
      this.marks[event.event_id]].filter(Boolean).join(" ").toLowerCase();
    const found = this.kept.filter((event) => words.every((word) => text(event).includes(word))).reverse();
    say(byId("found"), this.kept.length ? `${found.length} of ${this.kept.length}` : "none so far");
    byId("more").hidden = found.length <= this.shown;
    const list = byId("events"), there = new Map([...list.children].map((item) => [item.dataset.id, item]));
    const wanted = found.slice(0, this.shown).map((event) => {
      const item = there.get(event.event_id) ?? this.item(event);
      for (const button of item.querySelectorAll("[data-mark]"))
        button.setAttribute("aria-pressed", String(this.marks[event.event_id] === button.dataset.mark));
      return item;
    });
    const focused = document.activeElement;
    for (const item of list.children) if (!wanted.includes(item)) item.remove();
    wanted.forEach((item, at) => { if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null); });
    if (focused !== document.activeElement && focused?.isConnected) focused.focus();
    this.drawn = true;
  }

  setHeat(on) {
    for (const image of byId("events").querySelectorAll("img")) image.src = `${image.dataset.path}?heat=${on ? 1 : 0}`;
  }

  item(event) {
    const path = `api/events/${part(event.event_id)}/picture`;
    const when = told(event.timestamp);
    const what = `${event.line}, ${event.decision}${event.score == null ? "" : ` ${event.score.toFixed(3)}`}, ${when}`;
    const shot = event.pictures
      ? make("button", { type: "button", class: "shot", "aria-label": `Picture: ${what}`, onclick: () => this.show(event, path, what) },
        make("img", { src: `${path}?heat=${this.heatOn() ? 1 : 0}`, "data-path": path, alt: "", loading: "lazy" }))
      : make("span", { class: "soft" }, event.kind === "part" ? `part ${event.part_id}: ${event.defects} of ${event.frames} frames` : "no picture: too many at once");
    const mark = (which) => make("button", { type: "button", "data-mark": which, "aria-pressed": "false", "aria-label": `${which}: ${what}`,
      onclick: () => this.mark(event, which) }, which);
    return make("li", { class: "event", "data-id": event.event_id }, shot,
      make("div", { class: "row" }, make("span", { class: `badge ${event.decision}` }, `${event.decision} ${event.score == null ? "" : event.score.toFixed(3)}`),
        make("span", {}, event.line)),
      make("span", { class: "soft" }, [when, event.part_id && `part ${event.part_id}`, event.reason, event.source].filter(Boolean).join(", ")),
      make("div", { class: "row" }, mark("right"), mark("false alarm")));
  }

  show(event, path, what) {
    const image = byId("large-picture");
    image.src = `${path}?heat=${this.heatOn() ? 1 : 0}`;
    image.alt = what;
    say(byId("large-title"), what);
    byId("large").showModal();
  }

  async mark(event, which) {
    const wanted = this.marks[event.event_id] === which ? null : which;
    try {
      await post("api/mark", { event_id: event.event_id, mark: wanted });
      this.marks = { ...this.marks, [event.event_id]: wanted };
      this.draw();
    } catch (error) { say(byId("found"), error.message); }
  }
}
