// One line: its live picture, what it decides, its scores, its recipe, and thresholds to try.

import { duration, make, number, say, when } from "./dom.js";
import { Chart } from "./chart.js";
import { get, part, picture, post } from "./server.js";

const PICTURE_MS = 200, EXAMPLES = 6;
const LIVE = ["running", "waiting"]; // with others the picture is the last one that there was
const DECISIONS = ["good", "unsure", "defect", "undecided"];
const decision = (what) => make("span", { class: what ?? "undecided" }, what ?? "undecided");

export class Line {
  constructor(name, heatOn) {
    this.name = name;
    this.heat = heatOn;
    this.seen = 0;
    this.chart = new Chart(name);
    this.base = `api/lines/${part(name)}`;
    this.image = make("img", { alt: `Live picture of ${name}`, hidden: true });
    this.badge = make("span", { class: "badge undecided" });
    this.toggle = make("button", { type: "button", "aria-pressed": String(heatOn), onclick: () => this.setHeat(!this.heat) }, "Heat map");
    this.toggle.setAttribute("aria-label", `Heat map of ${name}`);
    this.old = make("span", { class: "none" }, "no picture yet");
    this.stage = make("div", { class: "stage" }, this.image, this.old);
    this.state = make("span", { class: "soft" });
    this.counts = make("div", { class: "counts" });
    this.legend = make("div", { class: "legend" });
    this.recipe = make("select", { "aria-label": `Recipe of ${name}`, onchange: () => this.choose() });
    this.told = make("span", { class: "soft", role: "status", tabindex: -1 });
    this.recipeRow = make("label", { hidden: true }, "Recipe", this.recipe);
    this.appliedRow = make("div", { class: "row applied" });
    this.element = make("article", { class: "card", "aria-label": name },
      make("div", { class: "row" }, make("h3", { class: "grow" }, name), this.badge, this.toggle),
      this.stage,
      this.state, this.counts, this.chart.element, this.legend, this.appliedRow,
      make("div", { class: "row" }, this.recipeRow, this.told), this.trial());
    this.follow();
  }

  setHeat(on) {
    this.heat = on;
    this.seen = 0;
    this.toggle.setAttribute("aria-pressed", String(on));
  }

  // The next picture is asked for when the last one is there: a slow viewer leaves frames out, and holds up nobody.
  async follow() {
    while (!this.gone) {
      const heat = this.heat;
      try {
        const made = document.hidden || this.frames === false ? null : await picture(`${this.base}/picture?heat=${heat ? 1 : 0}&seen=${this.seen}`);
        if (made !== null && heat === this.heat) {
          const before = this.image.src;
          this.image.src = URL.createObjectURL(made.blob);
          this.image.hidden = false;
          this.image.dataset.frame = made.number;
          this.image.dataset.heat = heat;
          this.seen = made.number;
          this.shown = made;
          this.drawBadge(); // of the frame that is shown
          if (before) URL.revokeObjectURL(before);
        }
      } catch { await new Promise((done) => setTimeout(done, 1000)); }
      await new Promise((done) => setTimeout(done, PICTURE_MS));
    }
  }

  // Nobody may take the last decision for that over the part that lies there now.
  drawBadge() {
    const made = this.shown, old = made != null && this.why !== "";
    this.badge.hidden = made == null;
    this.stage.classList.toggle("old", old);
    if (made == null) return;
    this.badge.className = `badge ${old ? "old" : made.decision}`;
    say(this.badge, `${old ? "last: " : ""}${made.decision} ${made.score.toFixed(3)}`);
  }

  // Why the picture is not of now; "" where it is.
  setOld(why) {
    this.why = why;
    say(this.old, this.shown == null ? `no picture yet${why ? `: ${why}` : ""}` : why);
    this.drawBadge();
  }

  // `known`: what the page keeps of the line's frames; nothing before the first one.
  async update(status, known) {
    this.toggle.hidden = !known?.heat; // not every file gives heat maps
    this.status = status;
    this.frames = known !== undefined;
    const ago = status.last_frame_s == null ? "" : `last frame ${duration(status.last_frame_s)} ago`;
    this.setOld(LIVE.includes(status.state) ? "" : [status.state, ago].filter(Boolean).join(", "));
    this.drawApplied(status);
    const bad = inTrouble(status);
    say(this.state, [status.state + (status.reason ? `: ${status.reason}` : ""), `${number(status.scored_per_s)} scored/s`,
      status.latency_ms.p50 == null ? "" : `${number(status.latency_ms.p50)} ms from capture to decision, 99% within ${number(status.latency_ms.p99)} ms`,
      status.dropped ? `${status.dropped} dropped for newer ones` : "",
      this.why === "" && status.last_frame_s >= 2 ? ago : ""].filter(Boolean).join(", "));
    this.state.className = bad ? "odd" : "soft";
    const total = status.scored || 1;
    this.counts.replaceChildren(...DECISIONS.filter((what) => status.decisions[what] || what !== "undecided")
      .map((what) => make("span", { class: what }, `${what} ${status.decisions[what] ?? 0} (${number(100 * (status.decisions[what] ?? 0) / total)} %)`)));
    const { points } = known ? await get(`${this.base}/scores?after=${this.after ?? 0}`) : { points: [] };
    if (points.length) this.after = points.at(-1)[0];
    this.chart.add(points);
    this.chart.draw(status.unsure, status.defect);
    this.legend.replaceChildren(make("span", {}, "Score"),
      ...["unsure", "defect"].filter((what) => status[what] != null).map((what) => make("span", { class: what }, `- - ${what} from ${number(status[what], 3)}`)),
      ...(status.defect == null ? [make("span", {}, "no threshold: nothing is decided")] : []));
    if (!this.tried) for (const what of ["unsure", "defect"]) this.fields[what].value = status[what] == null ? "" : status[what].toFixed(3);
    if (this.known && document.activeElement !== this.recipe) this.recipe.value = JSON.stringify(status.recipe);
  }

  restarted() { this.after = 0; this.seen = 0; }

  recipes(known) {
    const names = JSON.stringify(known);
    this.recipeRow.hidden = !known.length;
    if (this.known === names) return;
    this.known = names;
    this.recipe.replaceChildren(make("option", { value: "null" }, "the line's own"),
      ...known.map((one) => make("option", { value: JSON.stringify(one.name) }, one.number == null ? one.name : `${one.name} (${one.number})`)));
  }

  async choose() {
    try {
      await post("api/recipe", { recipe: JSON.parse(this.recipe.value), line: this.name });
      say(this.told, "selected; in force within a second");
    } catch (error) { say(this.told, error.message); }
  }

  // What was applied here, and the way back.
  drawApplied({ applied, recipe }) {
    const key = JSON.stringify(applied);
    if (this.applied === key) return;
    if (this.applied !== undefined) say(this.told, ""); // it is in force
    this.applied = key;
    if (!applied) return this.appliedRow.replaceChildren();
    const { unsure, defect } = applied.instead;
    this.appliedRow.replaceChildren(
      make("span", {}, `Thresholds applied ${new Date(applied.time).toLocaleString()} by ${applied.who}, instead of ${words(unsure, defect)} of the file. ` +
        "A restart keeps them; a change of the thresholds in the file ends them."),
      make("button", { type: "button", "aria-label": `Undo: ${this.name} back to ${words(unsure, defect)}`, onclick: () => this.act("api/thresholds/undo", { line: this.name, recipe }) },
        `Undo: back to ${words(unsure, defect)}`));
  }

  async act(path, asked) {
    try {
      const { unsure, defect } = await post(path, asked);
      say(this.told, `${words(unsure, defect)}: in force within a second`);
      this.tried = false;
    } catch (error) { say(this.told, error.message); }
    this.told.focus(); // the button that was pressed goes
    say(this.tell, "");
    this.changed.replaceChildren();
    this.apply.hidden = true;
  }

  trial() {
    const edited = () => { this.tried = true; this.apply.hidden = true; this.changed.replaceChildren(); };
    const field = (what) => make("input", { type: "number", step: "any", min: "0", "aria-label": `${what} from`, oninput: edited });
    this.fields = { unsure: field("unsure"), defect: field("defect") };
    this.tell = make("p", { role: "status" });
    this.apply = make("button", { type: "button", class: "act", hidden: true, onclick: () => this.act("api/thresholds", this.asked) });
    const form = make("form", {}, make("label", {}, "unsure", this.fields.unsure), make("label", {}, "defect", this.fields.defect), make("button", {}, "Try"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const asked = { line: this.name, unsure: this.value("unsure"), defect: this.value("defect") };
        if (asked.defect === null) throw new Error("expected a threshold for defect");
        const found = await post("api/trial", asked);
        const counts = (of) => DECISIONS.filter((what) => of[what]).map((what) => `${of[what]} ${what}`).join(", ");
        say(this.tell, `${found.changed} of the last ${found.frames} frames would have changed. Before: ${counts(found.before)}. After: ${counts(found.after)}. Nothing is in force yet.`);
        this.changed.replaceChildren(...found.examples.slice(-EXAMPLES).reverse().map((one) => make("li", {},
          [when(one.time_ms), one.part_id && `part ${one.part_id}`, number(one.score, 3)].filter(Boolean).join(", "),
          ": ", decision(one.before), " to ", decision(one.after))));
        if (found.changed > EXAMPLES) this.changed.append(make("li", {}, `and ${found.changed - EXAMPLES} before those`));
        this.asked = { ...asked, recipe: this.status.recipe };
        say(this.apply, `Apply ${words(asked.unsure, asked.defect)}`);
        this.apply.hidden = false;
      } catch (error) { say(this.tell, error.message); this.apply.hidden = true; }
    });
    this.changed = make("ul", { class: "changed" });
    return make("details", {}, make("summary", {}, "Change thresholds"), form, this.tell, this.changed, this.apply);
  }

  // What is shown is rounded; who leaves it as it is means the number itself.
  value(what) {
    const text = this.fields[what].value, exact = this.status[what];
    return text === "" ? null : exact != null && text === exact.toFixed(3) ? exact : Number(text);
  }
}

// Whether a source needs somebody to look at it.
export const inTrouble = ({ state, reason }) =>
  ["stalled", "frozen", "retrying", "failed", "no answer"].includes(state) || (state === "opening" && Boolean(reason));

const words = (unsure, defect) => (defect == null ? "no threshold" : `${unsure == null ? "" : `unsure ${number(unsure, 3)}, `}defect ${number(defect, 3)}`);
