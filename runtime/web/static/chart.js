// Score over time, the newest at the right, with both thresholds, its highest and lowest score and its first and last time. One path: thousands of scores cost no more.

import { make, number, say, when } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600, HEIGHT = 120, EDGE = 4;

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export class Chart {
  constructor(name) {
    this.points = [];
    this.name = name;
    this.paper = shape("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.path = shape("path", {});
    this.marks = { defect: shape("line", { class: "at-defect" }), unsure: shape("line", { class: "at-unsure" }) };
    this.paper.append(this.marks.unsure, this.marks.defect, this.path);
    [this.high, this.low, this.first, this.last] = ["high", "low", "first", "last"].map((which) => make("span", { class: which }));
    this.element = make("div", { class: "plot" }, this.high, this.low, this.paper, this.first, this.last);
  }

  add(points, most = 600) {
    if (points.length && this.points.length && points[0][0] <= this.points[this.points.length - 1][0]) this.points = [];
    this.points = this.points.concat(points).slice(-most);
  }

  draw(unsure, defect) {
    const scores = this.points.map((point) => point[2]);
    const levels = [unsure, defect].filter((level) => level != null);
    if (!scores.length) return;
    const low = Math.min(...scores, ...levels), high = Math.max(...scores, ...levels, low + 0.01);
    const y = (score) => (HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (score - low) / (high - low)).toFixed(1);
    const step = WIDTH / Math.max(1, scores.length - 1);
    this.path.setAttribute("d", "M" + scores.map((score, at) => `${(at * step).toFixed(1)} ${y(score)}`).join("L"));
    for (const [which, level] of [["unsure", unsure], ["defect", defect]]) {
      const mark = this.marks[which];
      mark.style.display = level == null ? "none" : "";
      if (level == null) continue;
      for (const [key, value] of [["x1", 0], ["x2", WIDTH], ["y1", y(level)], ["y2", y(level)]]) mark.setAttribute(key, value);
    }
    for (const [label, score] of [[this.high, high], [this.low, low]]) say(label, number(score, 2));
    for (const [label, point] of [[this.first, this.points[0]], [this.last, this.points.at(-1)]]) say(label, when(point[1]));
    this.paper.setAttribute("aria-label",
      `Scores of ${this.name}: ${scores.length}, from ${low.toFixed(2)} to ${high.toFixed(2)}, the last ${scores.at(-1).toFixed(2)}`);
  }
}
