// The embeddings as points on a canvas: pan by dragging, zoom by the wheel, shift-drag chooses, a click opens.
import { get } from "./api.js";
import { $, el, empty, menu, number } from "./dom.js";
import { changed, go, open, state } from "./state.js";

const PALETTE = ["#0f9d8a", "#e4572e", "#5b6ee1", "#e8a33d", "#a44fc9", "#2e9bd6", "#c2476f", "#7aa32f", "#8d6e54", "#4f5d75"];
const colour = (code, names) => {
  if (code < 0) return "#9aa0a6";
  if (names === "decision") return code === 1 ? "#0f9d8a" : "#e4572e";
  return code < PALETTE.length ? PALETTE[code] : `hsl(${(code * 137.508) % 360} 58% 52%)`;
};
const CELLS = 96;

function cells(points) {
  const found = new Map();
  points.x.forEach((x, i) => {
    const cell = Math.floor(x * CELLS) * (CELLS + 1) + Math.floor(points.y[i] * CELLS);
    if (!found.has(cell)) found.set(cell, []);
    found.get(cell).push(i);
  });
  return found;
}

class Chart {
  constructor(points, by, hidden) {
    Object.assign(this, { points, by, hidden, zoom: 1, dx: 0, dy: 0, hover: -1, box: null, cells: cells(points) });
    this.canvas = el("canvas", { id: "map", tabIndex: 0, "aria-label": "Map of the embeddings" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.listen();
  }

  get column() { return this.points.columns[this.by]; }
  fit() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = clientWidth * ratio;
    this.canvas.height = clientHeight * ratio;
    this.side = Math.min(clientWidth, clientHeight) - 32;
    this.left = (clientWidth - this.side) / 2;
    this.top = (clientHeight - this.side) / 2;
    this.ratio = ratio;
    this.draw();
  }
  at(i) { return [this.left + (this.points.x[i] * this.side) * this.zoom + this.dx, this.top + ((1 - this.points.y[i]) * this.side) * this.zoom + this.dy]; }
  back(px, py) { return [(px - this.dx - this.left) / (this.side * this.zoom), 1 - (py - this.dy - this.top) / (this.side * this.zoom)]; }

  draw() {
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    const { codes } = this.column;
    const few = this.points.keys.length < 3000;
    const size = Math.min(9, (few ? 5 : 2.4) * Math.sqrt(this.zoom));
    const order = new Map();
    codes.forEach((code, i) => { if (!this.hidden.has(code)) (order.get(code) ?? order.set(code, []).get(code)).push(i); });
    pen.globalAlpha = few ? 0.9 : 0.72;
    for (const [code, rows] of order) {
      pen.fillStyle = colour(code, this.by);
      for (const i of rows) {
        const [x, y] = this.at(i);
        if (x > -9 && y > -9 && x < this.canvas.clientWidth + 9 && y < this.canvas.clientHeight + 9) pen.fillRect(x - size / 2, y - size / 2, size, size);
      }
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = getComputedStyle(this.canvas).color;
    pen.lineWidth = 2;
    const ring = (i, radius) => { const [x, y] = this.at(i); pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.stroke(); };
    this.points.keys.forEach((key, i) => { if (state.selected.has(key)) ring(i, size); });
    if (this.hover >= 0) ring(this.hover, size + 3);
    if (this.box) pen.strokeRect(this.box.x, this.box.y, this.box.w, this.box.h);
  }

  nearest(px, py) {
    const [x, y] = this.back(px, py);
    const reach = Math.max(1, Math.ceil((14 / (this.side * this.zoom)) * CELLS));
    let best = -1, bound = 14 * 14;
    for (let cx = Math.floor(x * CELLS) - reach; cx <= Math.floor(x * CELLS) + reach; cx++) {
      for (let cy = Math.floor(y * CELLS) - reach; cy <= Math.floor(y * CELLS) + reach; cy++) {
        for (const i of this.cells.get(cx * (CELLS + 1) + cy) ?? []) {
          if (this.hidden.has(this.column.codes[i])) continue;
          const [ix, iy] = this.at(i);
          const far = (ix - px) ** 2 + (iy - py) ** 2;
          if (far < bound) { bound = far; best = i; }
        }
      }
    }
    return best;
  }

  listen() {
    let start = null;
    const here = (event) => { const box = this.canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    this.canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = here(event);
      start = { x, y, dx: this.dx, dy: this.dy, boxing: event.shiftKey };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const [x, y] = here(event);
      if (start?.boxing) this.box = { x: Math.min(x, start.x), y: Math.min(y, start.y), w: Math.abs(x - start.x), h: Math.abs(y - start.y) };
      else if (start) { this.dx = start.dx + x - start.x; this.dy = start.dy + y - start.y; }
      else { this.hover = this.nearest(x, y); this.point(x, y); }
      this.draw();
    });
    this.canvas.addEventListener("pointerup", (event) => {
      const [x, y] = here(event);
      if (this.box) this.choose();
      else if (start && Math.hypot(x - start.x, y - start.y) < 4) { const i = this.nearest(x, y); if (i >= 0) open(this.points.keys[i]); }
      start = null;
      this.box = null;
      this.draw();
    });
    this.canvas.addEventListener("pointerleave", () => { this.hover = -1; this.tip.hidden = true; this.draw(); });
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [x, y] = here(event);
      const next = Math.min(60, Math.max(0.7, this.zoom * Math.exp(-event.deltaY * 0.0015)));
      const grow = next / this.zoom;
      this.dx = (x - this.left) - ((x - this.left) - this.dx) * grow;
      this.dy = (y - this.top) - ((y - this.top) - this.dy) * grow;
      this.zoom = next;
      this.draw();
    }, { passive: false });
  }

  point(x, y) {
    this.tip.hidden = this.hover < 0;
    if (this.hover < 0) return;
    const key = this.points.keys[this.hover];
    const name = this.column.names[this.column.codes[this.hover]] ?? "";
    if (this.tip.dataset.key !== key) this.tip.replaceChildren(el("img", { src: `/picture/${key}?side=128`, alt: "" }), el("span", {}, name));
    this.tip.dataset.key = key;
    this.tip.style.left = `${Math.min(x + 16, this.canvas.clientWidth - 150)}px`;
    this.tip.style.top = `${Math.min(y + 16, this.canvas.clientHeight - 170)}px`;
  }

  choose() {
    const { x, y, w, h } = this.box;
    this.points.keys.forEach((key, i) => {
      const [px, py] = this.at(i);
      if (px >= x && px <= x + w && py >= y && py <= y + h && !this.hidden.has(this.column.codes[i])) state.selected.set(key, { key });
    });
    changed("selection");
  }
}

function legend(chart, redraw) {
  const { codes, names } = chart.column;
  const counts = new Map();
  codes.forEach((code) => counts.set(code, (counts.get(code) ?? 0) + 1));
  const rows = [...counts].sort((a, b) => b[1] - a[1]);
  const row = ([code, count]) => {
    const swatch = el("i");
    swatch.style.background = colour(code, chart.by);
    const flip = () => { if (!chart.hidden.delete(code)) chart.hidden.add(code); redraw(); };
    return el("button", { type: "button", class: chart.hidden.has(code) ? "off" : "", onclick: flip }, swatch,
      el("span", {}, names[code] ?? "none"), el("b", {}, number(count)));
  };
  return el("div", { class: "legend" }, rows.slice(0, 40).map(row),
    el("p", { class: "muted" }, "Drag to move, wheel to zoom, shift-drag to choose, click to open."));
}

export async function map(values) {
  if (!state.overview.models.length) return [empty("No vectors yet", "Make them with `curate embed`, then load this page again.")];
  const by = values.by ?? "decision";
  const method = values.method ?? "pca";
  const most = Number(values.most ?? 20000);
  const points = await get("/api/map", { model: $("model").value, method, most });
  const chart = new Chart(points, by, new Set());
  const side = el("div", { class: "side" });
  const redraw = () => { side.replaceChildren(legend(chart, redraw)); chart.draw(); };
  const set = (name) => (value) => go("map", { ...values, key: "", [name]: value });
  const colours = [["decision", "decision"], ["why", "reason"], ["source", "source"], ["cluster", "cluster"]]
    .filter(([name]) => points.columns[name].names.length > 0).map(([value, text]) => ({ value, text }));
  const steps = [5000, 20000, 50000, 100000].map((count) => ({ value: String(count), text: number(count) }));
  redraw();
  new ResizeObserver(() => { if (chart.canvas.isConnected) chart.fit(); }).observe(chart.canvas);
  return [el("div", { class: "toolbar" },
    el("h2", {}, `${number(points.keys.length)} of ${number(points.images)} images`),
    el("div", { class: "filters" }, menu("Colour", colours, by, set("by")),
      menu("Method", state.overview.maps.map((name) => ({ value: name, text: name.toUpperCase() })), method, set("method")),
      menu("Points at most", steps, String(most), set("most")))),
    el("div", { class: "chart" }, el("div", { class: "plane" }, chart.canvas, chart.tip), side)];
}
