"use strict";
// Draws what the script element `launches` holds; simulator/page/__init__.py says what that is.
const launches = JSON.parse(document.getElementById("launches").textContent);
const by = (id) => document.getElementById(id);
const number = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const LABEL = 150, ROW = 24, LANE = 70, AXIS = 20;
const hue = (index) => `hsl(${(index * 47 + 205) % 360} 58% 62%)`;
let launch, from, to, marked = -1, kept = -1, lanes = [];

function element(name, text, parent, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  if (parent) parent.append(made);
  return made;
}

function show(index) {
  launch = launches[index];
  [from, to, marked, kept] = [0, Math.max(launch.block, 1), -1, -1];
  by("head").textContent = launch.head;
  by("bottleneck").textContent = launch.bottleneck;
  lanes = [...new Map(launch.lives.map((l) => [`${l[0]} ${l[1]}`, [l[0], l[1]]])).values()];
  fillSource();
  fillTable("ops", ["operation", "count", "cycles", "average", "share"], launch.opRows);
  fillTable("lines", ["line", "count", "cycles", "average", "share"], launch.lineRows);
  const seconds = launch.cycles / launch.mhz / 1e6;
  fillTable("moved", ["path", "bytes", "GB/s"], Object.entries(launch.moved).map(
    ([path, size]) => [path, size, size / seconds / 1e9]));
  drawRoofline();
  draw();
}

// ---- text ---------------------------------------------------------------------------------------

function fillTable(id, heads, rows) {
  const table = by(id);
  table.replaceChildren();
  const top = element("tr", undefined, element("thead", undefined, table));
  heads.forEach((head) => element("th", head, top));
  const body = element("tbody", undefined, table);
  for (const row of rows) {
    const line = element("tr", undefined, body);
    row.forEach((cell, i) => {
      const tenths = ["average", "GB/s", "share"].includes(heads[i]) ? 1 : 0;
      const text = typeof cell === "number" ? number(cell, tenths) : cell;
      element("td", heads[i] === "share" ? `${text} %` : text, line);
    });
  }
}

function fillSource() {
  const place = by("source"), shares = new Map(launch.lineRows.map((row) => [row[0], row[4]]));
  const most = Math.max(1, ...shares.values());
  place.replaceChildren();
  for (const [file, lines] of Object.entries(launch.sources)) {
    element("h3", file, place);
    lines.forEach((text, i) => {
      const name = `${file}:${i + 1}`, share = shares.get(name), row = element("div", undefined, place, "row");
      element("b", share === undefined ? "" : `${number(share, 1)}%`, row);
      element("i", String(i + 1), row);
      element("span", text || " ", row);
      row.dataset.line = name;
      if (share) row.style.background = `rgb(232 90 70 / ${0.35 * share / most})`;
      const index = launch.lines.indexOf(name);
      row.onmouseenter = () => mark(index);
      row.onmouseleave = () => mark(kept);
      row.onclick = () => { kept = kept === index ? -1 : index; mark(kept); };
    });
  }
}

function mark(index) {
  if (index === marked) return;
  marked = index;
  for (const row of by("source").querySelectorAll(".row"))
    row.classList.toggle("on", marked >= 0 && row.dataset.line === launch.lines[marked]);
  draw();
}

// ---- time ---------------------------------------------------------------------------------------

function prepared(canvas, height) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth;
  canvas.style.height = `${height}px`;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return [pen, width];
}

const x = (cycle, width) => LABEL + (cycle - from) / (to - from) * (width - LABEL);

function axis(pen, width, height) {
  const rough = (to - from) / Math.max(2, (width - LABEL) / 110), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
  pen.fillStyle = "#66707f";
  pen.strokeStyle = "#e3e7ed";
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    pen.beginPath();
    pen.moveTo(x(at, width), 0);
    pen.lineTo(x(at, width), height - AXIS);
    pen.stroke();
    pen.fillText(number(at, step < 1 ? 1 : 0), x(at, width) + 3, height - AXIS / 2);
  }
  pen.fillText("cycles", 4, height - AXIS / 2);
}

function bar(pen, width, start, end, top, height, colour, faint) {
  const left = Math.max(LABEL, x(start, width)), right = Math.min(width, x(end, width));
  if (right < LABEL || left > width) return 0;
  pen.globalAlpha = faint ? 0.18 : 1;
  pen.fillStyle = colour;
  pen.fillRect(left, top, Math.max(right - left - (right - left > 4 ? 0.5 : 0), 0.8), height);
  pen.globalAlpha = 1;
  return right - left;
}

function drawQueues() {
  const canvas = by("timeline"), height = launch.tracks.length * ROW + AXIS;
  const [pen, width] = prepared(canvas, height);
  axis(pen, width, height);
  launch.tracks.forEach(([core, queue, busy], i) => {
    pen.fillStyle = "#1d2530";
    pen.fillText(`${core} ${queue}  ${number(busy * 100, 1)} %`, 4, i * ROW + ROW / 2);
  });
  for (const [core, start, end] of launch.gaps)
    launch.tracks.forEach(([own], i) => {
      if (own === core) bar(pen, width, start, end, i * ROW + 10, ROW - 20, "#c3cad4", false);
    });
  let drawn = 0;
  for (const [track, start, length, op, line] of launch.slices) {
    const shown = bar(pen, width, start, start + length, track * ROW + 2, ROW - 4, hue(op), marked >= 0 && line !== marked);
    if (shown > 0) drawn += 1;
    if (shown > launch.ops[op].length * 7 + 6) {
      pen.fillStyle = "#14202e";
      pen.fillText(launch.ops[op], Math.max(LABEL, x(start, width)) + 4, track * ROW + ROW / 2);
    }
  }
  canvas.dataset.drawn = drawn;
  canvas.dataset.from = from;
  canvas.dataset.to = to;
}

function drawMemory() {
  const canvas = by("memory"), height = lanes.length * (LANE + 6) + AXIS;
  const [pen, width] = prepared(canvas, height);
  axis(pen, width, height);
  const names = [...new Set(launch.lives.map((l) => l[2]))];
  lanes.forEach(([core, memory], i) => {
    const top = i * (LANE + 6), room = launch.capacity[memory];
    pen.fillStyle = "#f4f6f9";
    pen.fillRect(LABEL, top, width - LABEL, LANE);
    pen.fillStyle = "#1d2530";
    pen.fillText(`${core} ${memory}`, 4, top + 14);
    pen.fillStyle = "#66707f";
    pen.fillText(`${number(room / 1024, 0)} KiB`, 4, top + 32);
  });
  for (const [core, memory, name, , offset, size, start, end, line] of launch.lives) {
    const i = lanes.findIndex((lane) => lane[0] === core && lane[1] === memory);
    const room = launch.capacity[memory], tall = Math.max(1, size / room * LANE - 0.5);
    const top = i * (LANE + 6) + LANE - (offset + size) / room * LANE;
    bar(pen, width, start, end, top, tall, hue(names.indexOf(name)), marked >= 0 && line !== marked);
  }
}

function draw() {
  drawQueues();
  drawMemory();
}

// ---- pointing -----------------------------------------------------------------------------------

function cycleAt(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return from + (event.clientX - box.left - LABEL) / (box.width - LABEL) * (to - from);
}

function sliceAt(event) {
  const canvas = by("timeline"), at = cycleAt(canvas, event);
  const track = Math.floor((event.clientY - canvas.getBoundingClientRect().top) / ROW);
  const near = (to - from) / canvas.clientWidth;
  return launch.slices.find(([own, start, length]) =>
    own === track && start - near <= at && at <= start + length + near);
}

function lifeAt(event) {
  const canvas = by("memory"), at = cycleAt(canvas, event);
  const down = event.clientY - canvas.getBoundingClientRect().top, i = Math.floor(down / (LANE + 6));
  if (!lanes[i]) return undefined;
  const byte = (LANE - (down - i * (LANE + 6))) / LANE * launch.capacity[lanes[i][1]];
  return launch.lives.find(([core, memory, , , offset, size, start, end]) =>
    core === lanes[i][0] && memory === lanes[i][1] && offset <= byte && byte < offset + size
    && start <= at && at <= end);
}

function codeOf(line) {
  const [file, row] = launch.lines[line].split(":");
  return ((launch.sources[file] || [])[row - 1] || "").trim();
}

function aboutSlice([track, start, length, op, line, words]) {
  const [core, queue] = launch.tracks[track];
  return `${launch.ops[op]} · ${core} ${queue}\n${launch.words[words]}\n`
    + `cycles ${number(start, 1)} to ${number(start + length, 1)} (${number(length, 1)})\n`
    + `${launch.lines[line]}: ${codeOf(line)}`;
}

function aboutLife([core, memory, name, slot, offset, size, start, end, line]) {
  return `${launch.notes[name] || name} · ${core} ${memory}, slot ${slot}\n`
    + `bytes ${number(offset)} to ${number(offset + size)} (${number(size)})\n`
    + `cycles ${number(start, 1)} to ${number(end, 1)}\n${launch.lines[line]}: ${codeOf(line)}`;
}

function tell(event, text) {
  const tip = by("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8)}px`;
}

function move(start, end) {
  const whole = Math.max(launch.block, 1), span = Math.min(whole, Math.max(2, end - start));
  from = Math.min(Math.max(0, start), whole - span);
  to = from + span;
  draw();
}

for (const [id, find, about, lineOf] of [
  ["timeline", sliceAt, aboutSlice, (s) => s[4]], ["memory", lifeAt, aboutLife, (l) => l[8]],
]) {
  const canvas = by(id);
  let held = null;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = cycleAt(canvas, event), factor = event.deltaY > 0 ? 1.25 : 0.8;
    move(at - (at - from) * factor, at + (to - at) * factor);
  }, { passive: false });
  canvas.onmousedown = (event) => { held = [event.clientX, from, to]; };
  canvas.ondblclick = () => move(0, launch.block);
  canvas.onmouseleave = () => { held = null; tell(null, ""); mark(kept); };
  window.addEventListener("mouseup", () => { held = null; });
  canvas.onmousemove = (event) => {
    if (held) {
      const shift = (held[0] - event.clientX) / (canvas.clientWidth - LABEL) * (held[2] - held[1]);
      move(held[1] + shift, held[2] + shift);
      return;
    }
    const found = find(event);
    tell(event, found ? about(found) : "");
    mark(found ? lineOf(found) : kept);
    if (found && by("source").querySelector(".row.on"))
      by("source").querySelector(".row.on").scrollIntoView({ block: "nearest" });
  };
}

// ---- roofline -----------------------------------------------------------------------------------

function drawRoofline() {
  const svg = by("roofline"), roofs = launch.roofs.filter((r) => r.intensity !== null);
  svg.replaceChildren();
  const add = (name, set, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(set)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    svg.append(made);
  };
  if (!roofs.length) { add("text", { x: 20, y: 40 }, "no arithmetic, or no bytes"); return; }
  const log = Math.log10;
  const ridges = roofs.map((r) => r.peak / r.bandwidth), points = roofs.map((r) => r.intensity);
  const x0 = Math.floor(log(Math.min(...points, ...roofs.map((r) => r.peak / r.cache)))) - 0.3, x1 = Math.ceil(log(Math.max(...points, ...ridges))) + 0.5;
  const y0 = Math.floor(log(Math.max(1e-3, Math.min(...roofs.map((r) => r.reached))))) - 0.2;
  const y1 = Math.ceil(log(Math.max(...roofs.map((r) => r.peak)))) + 0.2;
  const px = (v) => 48 + (log(v) - x0) / (x1 - x0) * 396, py = (v) => 258 - (log(v) - y0) / (y1 - y0) * 244;
  for (let e = Math.ceil(x0); e <= x1; e += 1) {
    add("line", { x1: px(10 ** e), x2: px(10 ** e), y1: 14, y2: 258, stroke: "#e3e7ed" });
    add("text", { x: px(10 ** e), y: 272, "text-anchor": "middle", fill: "#66707f" }, number(10 ** e, Math.max(0, -e)));
  }
  for (let e = Math.ceil(y0); e <= y1; e += 1) {
    add("line", { x1: 48, x2: 444, y1: py(10 ** e), y2: py(10 ** e), stroke: "#e3e7ed" });
    add("text", { x: 44, y: py(10 ** e) + 4, "text-anchor": "end", fill: "#66707f" }, number(10 ** e, Math.max(0, -e)));
  }
  add("text", { x: 246, y: 292, "text-anchor": "middle", fill: "#66707f" }, "operations a byte of global memory");
  add("text", { x: 12, y: 136, transform: "rotate(-90 12 136)", "text-anchor": "middle", fill: "#66707f" }, "operations a cycle");
  roofs.forEach((r, i) => {
    const ridge = r.peak / r.bandwidth, colour = hue(i * 3), low = 10 ** x0;
    const path = `M ${px(low)} ${Math.min(258, py(low * r.bandwidth))} L ${px(ridge)} ${py(r.peak)} L 444 ${py(r.peak)}`;
    add("path", { d: path, fill: "none", stroke: colour, "stroke-width": 2 });
    const inner = r.peak / r.cache;
    if (inner > low) add("path", { d: `M ${px(low)} ${Math.min(258, py(low * r.cache))} L ${px(inner)} ${py(r.peak)}`, fill: "none", stroke: colour, "stroke-dasharray": "4 3" });
    add("text", { x: 440, y: py(r.peak) - 5, "text-anchor": "end", fill: "#1d2530" }, `${r.unit} ${r.dtype}: ${number(r.peak, 0)}`);
    add("circle", { cx: px(r.intensity), cy: py(r.reached), r: 5, fill: colour, stroke: "#1d2530" });
    const right = px(r.intensity) > 240;
    add("text", { x: px(r.intensity) + (right ? -8 : 8), y: py(r.reached) + 4, fill: "#1d2530", "text-anchor": right ? "end" : "start" },
      `${r.unit} ${number(r.reached, 1)}, ${number(100 * r.reached / r.attainable, 1)} % of the ${r.bound} roof`);
  });
}

const choice = by("launch");
launches.forEach((one, i) => { element("option", `${i + 1}. ${one.kernel}`, choice).value = i; });
by("choice").hidden = launches.length < 2;
choice.onchange = () => show(Number(choice.value));
window.addEventListener("resize", draw);
show(0);
document.body.dataset.ready = "yes";
