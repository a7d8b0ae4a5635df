// SPDX-License-Identifier: Apache-2.0
// Elements, Prometheus' text, and plots. Nothing is ever made of HTML: what others have written stays text.
"use strict";

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {}))
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// ---- Metrics ------------------------------------------------------------------------------------

function parseMetrics(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const parts = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const label of (parts[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      labels[label[1]] = label[2].replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
    if (!found.has(parts[1])) found.set(parts[1], []);
    found.get(parts[1]).push({labels, value: Number(parts[3].replace("Inf", "Infinity"))});
  }
  return {
    has(name) { return found.has(name); },
    sum(name, wanted = {}) {
      return (found.get(name) || []).filter(s => Object.entries(wanted).every(([k, v]) => s.labels[k] === v))
        .reduce((sum, s) => sum + s.value, 0);
    },
    buckets(name) { // bound -> count, of all series together
      const sums = new Map();
      for (const s of found.get(name + "_bucket") || []) {
        const bound = Number(s.labels.le.replace("+Inf", "Infinity"));
        sums.set(bound, (sums.get(bound) || 0) + s.value);
      }
      return sums;
    },
  };
}

// Of what was observed between two scrapes; null: nothing was. Interpolated within a bucket, as Prometheus does.
function quantile(q, before, now) {
  const bounds = [...now.keys()].sort((a, b) => a - b);
  const counts = bounds.map(bound => now.get(bound) - (before.get(bound) || 0));
  const total = counts[counts.length - 1];
  if (!(total > 0)) return null;
  const i = counts.findIndex(count => count >= q * total);
  if (bounds[i] === Infinity) return bounds[i - 1];
  const low = i > 0 ? bounds[i - 1] : 0, under = i > 0 ? counts[i - 1] : 0;
  return low + (bounds[i] - low) * (q * total - under) / (counts[i] - under);
}

// ---- Words --------------------------------------------------------------------------------------

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.001) return (value * 1e6).toFixed(0) + " µs";
  if (value < 1) return (value * 1000).toFixed(value < 0.01 ? 1 : 0) + " ms";
  if (value < 120) return value.toFixed(value < 10 ? 1 : 0) + " s";
  if (value < 7200) return (value / 60).toFixed(0) + " min";
  return value < 172800 ? (value / 3600).toFixed(1) + " h" : (value / 86400).toFixed(1) + " d";
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; value >= 1024 && i < units.length - 1; i++) value /= 1024;
  return value.toFixed(i > 0 && value < 100 ? 1 : 0) + " " + units[i];
}

function count(value) {
  return value === null || value === undefined ? "–" : value >= 100 || value === Math.round(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

// The browser's time with its distance from UTC: 2026-11-30 16:04:05Z, 2026-11-30 17:04:05+01:00
function clock(ms) {
  if (!ms) return "–";
  const date = new Date(ms), ahead = -date.getTimezoneOffset(), two = number => String(number).padStart(2, "0");
  const zone = !ahead ? "Z" : (ahead < 0 ? "−" : "+") + two(Math.floor(Math.abs(ahead) / 60)) + ":" + two(Math.abs(ahead) % 60);
  return date.toLocaleString("sv") + zone;
}

// ---- Plots --------------------------------------------------------------------------------------

const PLOT = {height: 130, left: 46, bottom: 16, top: 8};

// series: [{name, values}], oldest first, null: a gap. format: of the axis and the text.
function drawPlot(box, title, series, format, span) {
  const {height, left, bottom, top} = PLOT, width = Math.max(220, box.clientWidth - 30);
  const length = Math.max(2, ...series.map(s => s.values.length));
  const highest = Math.max(1e-9, ...series.flatMap(s => s.values.filter(v => v !== null)));
  const x = i => left + (width - left - 4) * i / (length - 1);
  const y = v => height - bottom - (height - bottom - top) * v / highest;
  const picture = svg("svg", {viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true"});
  for (const part of [0, 0.5, 1]) {
    picture.append(svg("line", {class: "axis", x1: left, x2: width, y1: y(part * highest), y2: y(part * highest)}));
    if (part > 0 && highest > 1e-9)
      picture.append(svg("text", {x: left - 5, y: y(part * highest) + 4, "text-anchor": "end"}, format(part * highest)));
  }
  picture.append(svg("text", {x: left, y: height - 3}, span), svg("text", {x: width - 4, y: height - 3, "text-anchor": "end"}, "now"));
  series.forEach((one, n) => {
    let run = [];
    const draw = () => {
      if (run.length > 1) picture.append(svg("polyline", {class: "s" + one.color, points: run.join(" ")}));
      else if (run.length === 1) picture.append(svg("circle", {class: "s" + one.color, cx: run[0].split(",")[0], cy: run[0].split(",")[1], r: 1.5}));
      run = [];
    };
    one.values.forEach((value, i) => value === null ? draw() : run.push(`${x(i).toFixed(1)},${y(value).toFixed(1)}`));
    draw();
  });
  const legend = h("p", {}, series.map((one, n) => [n ? "  " : "", h("span", {class: "key k" + one.color}), one.name + " ",
    h("b", {}, format(one.values.filter(v => v !== null).at(-1) ?? null)), "   "]));
  box.replaceChildren(h("h2", {}, title), picture, legend);
}
