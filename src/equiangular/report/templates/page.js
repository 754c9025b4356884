"use strict";
const page = JSON.parse(document.getElementById("page-data").textContent);
const $ = (query, from = document) => [...from.querySelectorAll(query)];
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const resolved = text => text.replace(/var\((--[\w-]+)\)/g, (_, name) => css(name));
const place = Object.fromEntries(page.series.map((one, i) => [one.label, i]));
const hue = label => `var(--c${(place[label] ?? 0) % 12})`;
const DASH = { learned: "", fixed: "6 3", mapped: "2 2", computed: "8 3 2 3" };
const MOST_NODES = 6000; // marks above which a figure is drawn on a canvas
const views = []; // { view, box, spec, canvas }
let method = null, klass = null;

const told = text => {
  const box = document.getElementById("told");
  box.textContent = text;
  clearTimeout(told.timer);
  told.timer = setTimeout(() => { box.textContent = ""; }, 2500);
};

// ---- figures

const config = box => {
  const narrow = box.clientWidth < 560;
  const axis = { labelColor: "var(--ink)", titleColor: "var(--soft)", gridColor: "var(--line)", domainColor: "var(--line)", tickColor: "var(--line)", titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 12, labelLimit: 300 };
  // Where there is little room the names stand above their marks, in full.
  const names = narrow ? { zindex: 1, labelAlign: "left", labelOffset: -13, labelPadding: 2, ticks: false, domain: false, labelLimit: box.clientWidth - 20 } : { ticks: false, domain: false };
  return {
    background: null, font: "system-ui, sans-serif", view: { stroke: null }, axis, axisYBand: names, axisYPoint: names,
    legend: { labelColor: "var(--ink)", labelFontSize: 12, symbolFillColor: "var(--soft)" }, title: { color: "var(--ink)" },
  };
};

const rowsOf = (pair, name) => {
  const named = new Set(pair.named);
  return (pair.choices[name] ?? []).map(row => Object.fromEntries(pair.columns.map((key, i) => [key, named.has(key) ? page.classes[row[i]] : row[i]])));
};

async function draw(box, spec, rows, label) {
  const values = rows ?? spec.data.values;
  const canvas = values.length > MOST_NODES;
  const whole = { ...spec, data: { name: "rows", values } };
  const ready = canvas ? JSON.parse(resolved(JSON.stringify(whole))) : whole;
  const made = canvas ? JSON.parse(resolved(JSON.stringify(config(box)))) : config(box);
  if (values.length > 300) ready.config = { aria: false }; // a table has them, too many marks have no place in a list
  const kept = views.findIndex(one => one.box === box);
  if (kept >= 0) views.splice(kept, 1)[0].finalize();
  const { view, finalize } = await window.vegaEmbed(box, ready, { actions: false, renderer: canvas ? "canvas" : "svg", config: made });
  views.push({ view, box, spec, rows, canvas, label, finalize });
  const drawn = box.querySelector("svg, canvas");
  if (drawn) { drawn.setAttribute("role", "img"); drawn.setAttribute("aria-label", label); }
  if (values.length > 300) drawn?.firstElementChild?.setAttribute("aria-hidden", "true"); // containers of marks keep roles without names
  view.addEventListener("click", (_, item) => {
    const datum = item?.datum ?? {};
    if (box.dataset.pair && datum.row !== undefined) showBehind(box.dataset.pair, datum.row, datum.column);
    if (datum.method) follow(datum.method);
    else if (datum.class ?? datum.row) {
      followClass.cell = datum.row !== undefined; // the samples of the cell are shown, not those of the class
      followClass(datum.class ?? datum.row);
      followClass.cell = false;
    }
  });
  tell(view);
}

const tell = view => {
  view.signal("method", method).signal("klass", klass);
  return view.runAsync();
};

const title = box => box.closest("figure").querySelector("h2, h3").textContent + ". " + (box.closest("figure").querySelector("figcaption")?.textContent ?? "");

function start(box) {
  if (box.dataset.figure) return draw(box, page.figures[box.dataset.figure], null, title(box));
  const pair = page.pairs[box.dataset.pair];
  const choice = box.parentElement.querySelector("select").value;
  return draw(box, pair.spec, rowsOf(pair, choice), `${choice}: ${title(box)}`);
}

// Figures are drawn when they come near the screen: a page of a thousand classes is there at once.
const near = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); start(entry.target); }
}, { rootMargin: "800px" });
$(".chart").forEach(box => near.observe(box));
const drawAll = () => Promise.all($(".chart").filter(box => !box.firstChild).map(box => { near.unobserve(box); return start(box); }));
window.drawAll = drawAll;
addEventListener("beforeprint", drawAll);

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(draw.timer);
  draw.timer = setTimeout(() => [...views].forEach(one => draw(one.box, one.spec, one.rows, one.label)), 200);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  views.filter(one => one.canvas).forEach(one => draw(one.box, one.spec, one.rows, one.label));
  spaces.forEach(space => space.draw());
});

$("select[data-side]").forEach(select => select.addEventListener("change", () => {
  const box = select.parentElement.querySelector(".chart");
  if (box) { near.unobserve(box); start(box); }
}));

// ---- following

$("[data-swatch]").forEach(dot => { dot.style.background = hue(dot.dataset.swatch); });
$("[data-stroke]").forEach(line => {
  const one = page.series[place[line.dataset.stroke]];
  line.setAttribute("stroke", hue(one.label));
  line.setAttribute("stroke-width", "3");
  line.setAttribute("stroke-dasharray", DASH[one.kind] ?? "");
});

function follow(label) {
  method = method === label ? null : label;
  $(".chip").forEach(chip => chip.setAttribute("aria-pressed", String(chip.dataset.follow === method)));
  $("tr[data-method]").forEach(row => row.classList.toggle("followed", row.dataset.method === method));
  if (method !== null) {
    const side = page.series[place[method]].kind === "learned" ? 0 : 1;
    $("figure.pair").forEach(figure => {
      const select = $("select", figure)[side];
      if (select && $("option", select).some(o => o.value === method) && select.value !== method) {
        select.value = method;
        select.dispatchEvent(new Event("change"));
      }
    });
  }
  said();
}

function followClass(name) {
  klass = page.classes.includes(name) && name !== klass ? name : null;
  const input = document.getElementById("klass");
  if (input) input.value = klass ?? "";
  if (klass !== null && !followClass.cell) Object.keys(page.pairs).filter(id => page.pairs[id].behind && Object.keys(page.pairs[id].behind).length).forEach(id => showBehind(id, klass));
  $("tr[data-class]").forEach(row => row.classList.toggle("followed", row.dataset.class === klass));
  said();
}

function said() {
  const box = document.getElementById("followed");
  if (box) box.textContent = [method, klass === null ? null : `class ${klass}`].filter(one => one !== null).join(", ") || "all";
  views.forEach(one => tell(one.view));
}

document.addEventListener("click", event => {
  const button = event.target.closest("[data-follow]");
  if (button) follow(button.dataset.follow);
});
document.getElementById("klass")?.addEventListener("change", event => { klass = null; followClass(event.target.value); });
document.addEventListener("keydown", event => {
  if (event.key === "Escape") { if (method !== null) follow(method); if (klass !== null) followClass(klass); }
});

// ---- samples behind a confusion: of one cell, or of all mistakes of a class

function showBehind(id, row, column) {
  const box = document.querySelector(`#${id} .behind`), { behind } = page.pairs[id];
  if (!box) return;
  box.replaceChildren();
  for (const select of $("select", box.closest("figure"))) {
    const found = (behind[select.value] ?? []).filter(([i, j]) => page.classes[i] === row && (column === undefined || page.classes[j] === column));
    const head = document.createElement("p"), list = document.createElement("ul");
    head.textContent = `${select.value}: ${row} taken for ${column ?? "others"}${found.length ? "" : ", no sample to show"}`;
    list.append(...found.map(([, j, sample]) => {
      const one = document.createElement("li"), shown = page.samples[sample], text = `test sample ${sample}, taken for ${page.classes[j]}`;
      if (shown.startsWith("data:image/")) one.append(Object.assign(new Image(), { src: shown, alt: text, title: text }), column === undefined ? page.classes[j] : "");
      else one.textContent = `${sample}: ${shown}`;
      return one;
    }));
    box.append(head, list);
  }
}

// ---- tables

const cells = row => [...row.cells].map(cell => cell.textContent.trim());
const shown = table => $("tbody tr", table).filter(row => !row.hidden);
const quoted = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const tex = text => text.replace(/[\\&%$#_{}~^]/g, c => ({ "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" })[c] ?? `\\${c}`).replaceAll("±", "$\\pm$").replaceAll("−", "$-$");
const FORMATS = {
  csv: (head, rows, table) => [head, ...shown(table).map(row => [...row.cells].map(cell => cell.dataset.value ?? cell.textContent.trim()))].map(row => row.map(quoted).join(",")).join("\n") + "\n",
  markdown: (head, rows) => [head, head.map((_, i) => i ? "---:" : "---"), ...rows].map(row => `| ${row.map(text => text.replaceAll("|", "\\|")).join(" | ")} |`).join("\n") + "\n",
  latex: (head, rows) => `\\begin{tabular}{l${"r".repeat(head.length - 1)}}\n\\hline\n${head.map(tex).join(" & ")} \\\\\n\\hline\n${rows.map(row => row.map(tex).join(" & ") + " \\\\").join("\n")}\n\\hline\n\\end{tabular}\n`,
};

async function copy(text) {
  try { await navigator.clipboard.writeText(text); }
  catch {
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
  }
}

for (const figure of $(".table-part")) {
  const table = figure.querySelector("table"), body = table.tBodies[0];
  $("[data-copy]", figure).forEach(button => button.addEventListener("click", async () => {
    const rows = shown(table).map(cells);
    const text = FORMATS[button.dataset.copy](cells(table.tHead.rows[0]), rows, table);
    window.copied = text;
    await copy(text);
    told(`${rows.length} rows copied as ${button.textContent}`);
  }));
  $("th .sort", table).forEach((button, column) => button.addEventListener("click", () => {
    const head = button.parentElement, up = head.getAttribute("aria-sort") === "descending";
    $("thead th", table).forEach(th => th.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => { const cell = row.cells[column], v = cell.dataset.value; return v === undefined || v === "nan" ? cell.textContent.trim() : Number.isNaN(Number(v)) ? v : Number(v); };
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1; // what has no number comes last
      return (typeof x === "number" ? x - y : x.localeCompare(y, undefined, { numeric: true })) * (up ? 1 : -1);
    };
    body.append(...$("tr", body).sort(order));
  }));
  figure.querySelector(".filter")?.addEventListener("input", event => {
    const wanted = event.target.value.toLowerCase();
    $("tr", body).forEach(row => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
  });
}

// ---- downloads

const save = (url, name) => Object.assign(document.createElement("a"), { href: url, download: name }).click();

function svgOf(svg) {
  const copied = svg.cloneNode(true), back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  copied.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  for (const [key, value] of [["width", "100%"], ["height", "100%"], ["fill", "var(--paper)"]]) back.setAttribute(key, value);
  copied.prepend(back);
  return resolved(new XMLSerializer().serializeToString(copied));
}

async function pngOf(svg) {
  const image = new Image(), box = svg.getBoundingClientRect(), canvas = document.createElement("canvas");
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgOf(svg))}`;
  await image.decode();
  [canvas.width, canvas.height] = [2 * box.width, 2 * box.height];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
}

$("[data-save]").forEach(button => button.addEventListener("click", async () => {
  const figure = button.closest("figure"), kind = button.dataset.save;
  const drawings = $(".chart svg.marks, .chart canvas, canvas[data-view]", figure);
  for (const [number, drawing] of drawings.entries()) {
    const name = `${figure.id}${drawings.length > 1 ? `-${number + 1}` : ""}`;
    if (drawing instanceof HTMLCanvasElement) save(drawing.toDataURL("image/png"), `${name}.png`);
    else if (kind === "svg") save(URL.createObjectURL(new Blob([svgOf(drawing)], { type: "image/svg+xml" })), `${name}.svg`);
    else save(await pngOf(drawing), `${name}.png`);
  }
  told(`saved ${figure.id}`);
}));

// ---- features and class vectors in three dimensions

const HUES = ["--c0", "--c4", "--c2", "--c3"];
const CORNERS = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]].map(p => p.map(v => v / Math.sqrt(3)));

function space(figure) {
  const pair = page.pairs[figure.id], canvases = $("canvas", figure), selects = $("select", figure);
  const slider = figure.querySelector("input[type=range]"), out = figure.querySelector("output"), play = figure.querySelector(".play");
  let yaw = 0.6, pitch = 0.35, at = 1e9, timer = null;
  const turn = p => {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    const x = cy * p[0] + sy * p[2], z = -sy * p[0] + cy * p[2];
    return [x, cp * p[1] - sp * z, sp * p[1] + cp * z];
  };
  const draw = () => {
    const scenes = selects.map(select => pair.choices[select.value]);
    const last = Math.max(...scenes.map(scene => scene.epochs.length)) - 1;
    at = Math.max(0, Math.min(at, last));
    slider.max = last; slider.value = at;
    slider.parentElement.hidden = last === 0; // one moment has nothing to play
    const epoch = scenes[0].epochs[Math.min(at, scenes[0].epochs.length - 1)];
    out.textContent = `${scenes[0].unit ?? "epoch"} ${epoch.toLocaleString("en")}`;
    slider.setAttribute("aria-valuetext", out.textContent);
    const ink = css("--ink");
    const reach = Math.max(1.3, ...scenes.flatMap(scene => [...scene.vectors.at(-1), ...scene.means.at(-1)].map(p => Math.hypot(...p))));
    canvases.forEach((canvas, side) => {
      const scene = scenes[side], now = Math.min(at, scene.epochs.length - 1), g = canvas.getContext("2d"), size = canvas.width;
      const put = p => { const q = turn(p), s = size * 0.46 / reach * 4 / Math.max(1.5, 4 - q[2] / reach); return [size / 2 + s * q[0], size / 2 - s * q[1], q[2]]; };
      g.clearRect(0, 0, size, size);
      const corners = (scene.corners ?? CORNERS).map(put), origin = put([0, 0, 0]);
      g.strokeStyle = ink; g.globalAlpha = 0.25; g.lineWidth = 2;
      corners.forEach((a, i) => corners.slice(i + 1).forEach(b => { g.beginPath(); g.moveTo(a[0], a[1]); g.lineTo(b[0], b[1]); g.stroke(); }));
      const items = [];
      scene.features[now].forEach((p, i) => items.push({ p: put(p), c: scene.labels[i], what: "sample" }));
      scene.means[now].forEach((p, c) => items.push({ p: put(p), c, what: "mean" }));
      scene.vectors[now].forEach((p, c) => items.push({ p: put(p), c, what: "vector" }));
      items.sort((a, b) => a.p[2] - b.p[2]);
      for (const { p, c, what } of items) {
        const faint = klass !== null && page.classes[0] !== undefined && scene.classes.includes(klass) && scene.classes[c] !== klass;
        g.globalAlpha = (faint ? 0.15 : 1) * (0.5 + 0.5 * Math.max(0, Math.min(1, (p[2] + 1) / 2)));
        g.strokeStyle = g.fillStyle = css(HUES[c]);
        if (what === "vector") {
          const angle = Math.atan2(p[1] - origin[1], p[0] - origin[0]);
          g.lineWidth = 5; g.beginPath(); g.moveTo(origin[0], origin[1]); g.lineTo(p[0], p[1]); g.stroke();
          g.beginPath(); g.moveTo(p[0] + 13 * Math.cos(angle), p[1] + 13 * Math.sin(angle));
          for (const off of [-0.6, 0.6]) g.lineTo(p[0] - 13 * Math.cos(angle + off), p[1] - 13 * Math.sin(angle + off));
          g.fill();
        } else {
          const r = what === "mean" ? 11 : 5;
          g.beginPath();
          if (what === "mean") { g.moveTo(p[0], p[1] - r); g.lineTo(p[0] + r, p[1]); g.lineTo(p[0], p[1] + r); g.lineTo(p[0] - r, p[1]); g.closePath(); }
          else g.arc(p[0], p[1], r, 0, 7);
          g.fill();
          if (what === "mean") { g.strokeStyle = ink; g.lineWidth = 2; g.stroke(); }
        }
      }
      g.globalAlpha = 1;
    });
    const scene = scenes[0];
    figure.querySelector(".key").replaceChildren(...scene.classes.map((name, c) => {
      const one = document.createElement("span"), dot = document.createElement("span");
      dot.className = "swatch"; dot.style.background = `var(${HUES[c]})`;
      one.append(dot, scene.counts ? `${name} (${scene.counts[c].toLocaleString("en")} samples)` : name);
      return one;
    }));
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (at >= Number(slider.max)) at = 0;
    play.textContent = "Pause";
    const pause = Math.max(80, Math.min(500, 8000 / Number(slider.max))); // all of it in 8 seconds, or half a second each
    timer = setInterval(() => { at += 1; draw(); if (at >= Number(slider.max)) stop(); }, pause);
  });
  slider.addEventListener("input", () => { stop(); at = Number(slider.value); draw(); });
  selects.forEach(select => select.addEventListener("change", draw));
  const move = (dx, dy) => { yaw += dx; pitch = Math.max(-1.5, Math.min(1.5, pitch + dy)); draw(); };
  canvases.forEach(canvas => {
    canvas.addEventListener("pointerdown", event => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", event => { if (event.buttons) move(event.movementX / 120, event.movementY / 120); });
    canvas.addEventListener("keydown", event => {
      const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
      if (step) { event.preventDefault(); move(...step); }
    });
  });
  draw();
  return { draw };
}
const spaces = $("figure.pair").filter(figure => figure.querySelector("canvas[data-view]")).map(space);
window.ready = true;
