// The plots: figures that depend on choices, in the page's colours, with legends that can be used by keyboard.
"use strict";

// The plain value at these choices: {by, of} stands for the value of the chosen option.
function resolve(value, chosen) {
  if (Array.isArray(value)) return value.map((item) => resolve(item, chosen));
  if (value === null || typeof value !== "object") return value;
  const names = Object.keys(value);
  if (names.length === 2 && "by" in value && "of" in value) return resolve(value.of[chosen[value.by]] ?? null, chosen);
  return Object.fromEntries(names.map((name) => [name, resolve(value[name], chosen)]));
}

// ---- colours
const probe = element("span", { hidden: true });
document.body.append(probe);
const computed = (name) => {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
};
const channel = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
const luminance = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const css_text = (rgb) => `rgb(${rgb.map(Math.round).join(",")})`;

function palette() {
  const names = ["ink", "muted", "accent", "surface", "line"];
  const own = Object.fromEntries(names.map((name) => [name, computed(name)]));
  const known = new Map(names.map((name) => [name, css_text(own[name])]));
  // A page's name for a colour, or any other moved towards the ink until it stands out from the surface.
  return (colour) => {
    if (!known.has(colour)) {
      const hex = /^#[0-9a-f]{6}$/i.test(colour) && [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      let rgb = hex;
      for (let part = 0; hex && contrast(rgb, own.surface) < 3.2 && part < 1; part += 0.04) {
        rgb = hex.map((c, k) => c + part * (own.ink[k] - c));
      }
      known.set(colour, hex ? css_text(rgb) : colour);
    }
    return known.get(colour);
  };
}

// The value with its colours, which are under names that end in "color", as the palette has them.
function coloured(value, colour, name = "") {
  if (typeof value === "string") return name.endsWith("color") ? colour(value) : value;
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item) => coloured(item, colour, name));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, colour, key)]));
}

// ---- layout
function merged(base, more) {
  const both = { ...base };
  for (const [name, value] of Object.entries(more ?? {})) {
    const nested = value !== null && typeof value === "object" && !Array.isArray(value) && both[name] !== undefined;
    both[name] = nested ? merged(both[name], value) : value;
  }
  return both;
}

function layout(more, narrow, empty) {
  const family = getComputedStyle(document.body).fontFamily;
  const axis = {
    gridcolor: "line", linecolor: "line", zeroline: false, automargin: true, showline: true, ticks: "",
    title: { standoff: 12, font: { size: narrow ? 12 : 13 } }, exponentformat: "SI",
  };
  const base = {
    font: { family, size: narrow ? 11 : 12.5, color: "muted" },
    paper_bgcolor: "surface", plot_bgcolor: "surface", hovermode: "closest", hoverdistance: 12, showlegend: false,
    margin: { l: narrow ? 48 : 60, r: narrow ? 8 : 16, t: 28, b: 48 }, dragmode: narrow ? false : "zoom",
    hoverlabel: { bgcolor: "surface", bordercolor: "muted", align: "left", namelength: -1, font: { family, color: "ink" } },
    xaxis: axis, yaxis: { ...axis, nticks: 7 },
  };
  const nothing = { text: "No runs with these choices", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 };
  const hidden = { visible: false };
  return merged(base, empty ? { annotations: [nothing], xaxis: hidden, yaxis: hidden } : more);
}

const CONFIG = { responsive: true, displayModeBar: false };

// ---- legend
const SHAPES = {
  "circle": "M17 7a4 4 0 1 1-8 0a4 4 0 1 1 8 0z", "square": "M9.3 3.3h7.4v7.4h-7.4z",
  "triangle-up": "M13 2.5l4.8 8h-9.6z", "triangle-down": "M13 11.5l4.8-8h-9.6z", "triangle-left": "M8.5 7l8-4.8v9.6z",
  "triangle-right": "M17.5 7l-8-4.8v9.6z", "diamond": "M13 2l5 5l-5 5l-5-5z", "diamond-tall": "M13 1l3.5 6l-3.5 6l-3.5-6z",
  "cross": "M11.5 2.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z", "x": "M10.5 2.5l2.5 2.5l2.5-2.5l2 2l-2.5 2.5l2.5 2.5l-2 2l-2.5-2.5l-2.5 2.5l-2-2l2.5-2.5l-2.5-2.5z",
  "star": "M13 1l1.7 4h4.3l-3.4 2.7l1.2 4.3l-3.8-2.5l-3.8 2.5l1.2-4.3l-3.4-2.7h4.3z",
};

function swatch(trace) {
  const draw = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    return made;
  };
  const svg = draw("svg", { viewBox: "0 0 26 14", "aria-hidden": "true" });
  if (trace.mode.includes("lines")) {
    const dashes = trace.line.dash === "dash" ? { "stroke-dasharray": "6 4" } : {};
    svg.append(draw("path", { d: "M1 7h24", stroke: trace.line.color, "stroke-width": 2, fill: "none", ...dashes }));
  }
  if (trace.mode.includes("markers")) {
    const { symbol, color } = trace.marker;
    const hollow = symbol.endsWith("-open");
    const paint = hollow ? { fill: "none", stroke: color, "stroke-width": 1.5 } : { fill: color };
    svg.append(draw("path", { d: SHAPES[symbol.replace("-open", "")] ?? SHAPES.circle, ...paint }));
  }
  return svg;
}

// Buttons that show and hide the traces of a name; `hidden` is the set of names, `changed` is called after a press.
function legend(list, traces, hidden, changed) {
  const first = new Map(traces.filter((trace) => trace.name).map((trace) => [trace.name, trace]));
  const names = [...first.keys()];
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  const entry = (name, className, press, ...content) => {
    const button = element("button", { type: "button", className, onclick: press }, ...content);
    button.dataset.name = name;
    return button;
  };
  const buttons = names.map((name) => {
    const press = () => {
      if (!hidden.delete(name)) hidden.add(name);
      changed();
    };
    const button = entry(name, "", press, swatch(first.get(name)), name);
    button.setAttribute("aria-pressed", !hidden.has(name));
    button.addEventListener("dblclick", () => {
      names.forEach((other) => (other === name ? hidden.delete(other) : hidden.add(other)));
      changed();
    });
    return button;
  });
  if (names.length > 3) {
    const all = () => (names.forEach((name) => hidden.delete(name)), changed());
    const none = () => (names.forEach((name) => hidden.add(name)), changed());
    buttons.unshift(entry("\0all", "all", all, "Show all"), entry("\0none", "all", none, "Hide all"));
  }
  list.replaceChildren(...buttons.map((button) => element("li", {}, button)));
  if (focused !== null) buttons.find((button) => button.dataset.name === focused)?.focus();
}

// ---- a figure
function mount(figure) {
  const { spec, cards, title } = JSON.parse(figure.querySelector(":scope > script").textContent);
  const frame = figure.querySelector(".frame");
  const plot = figure.querySelector(".plot");
  const selects = [...figure.querySelectorAll("select[data-choice]")];
  const ring = element("span", { className: "ring", hidden: true });
  const list = element("ul", { className: "legend" });
  list.setAttribute("aria-label", "Shown in the plot: " + title);
  frame.append(ring);
  frame.after(list);
  const hidden = new Set();
  let listening = false;

  // The ring lies around a point of the drawn figure, or is hidden where that is out of view.
  const place = (axis, value, side) => {
    const [low, high] = axis.range;
    const at = ((axis.type === "log" ? Math.log10(value) : value) - low) / (high - low);
    return at >= 0 && at <= 1 ? side.start + at * side.length : NaN;
  };
  const mark = (curve, point) => {
    const { x, y } = plot.data[curve];
    const inner = plot.querySelector(".nsewdrag").getBoundingClientRect();
    const outer = frame.getBoundingClientRect();
    const across = { start: inner.left - outer.left, length: inner.width };
    const left = place(plot.layout.xaxis, x[point], across);
    const top = place(plot.layout.yaxis, y[point], { start: inner.bottom - outer.top, length: -inner.height });
    ring.hidden = Number.isNaN(left + top);
    if (!ring.hidden) ring.style.translate = `${left}px ${top}px`;
  };
  const point_at = (curve, point) => {
    ring.hidden = true;
    if (curve === null) return Plotly.Fx.unhover(plot);
    Plotly.Fx.hover(plot, [{ curveNumber: curve, pointNumber: point }]);
    mark(curve, point);
  };
  const walk = cards && explorer(figure, cards, point_at);

  function listen() {
    plot.on("plotly_hover", ({ points: [point] }) => {
      if (walk) mark(point.curveNumber, point.pointNumber);
      walk?.show(point.curveNumber, point.pointNumber);
    });
    plot.on("plotly_unhover", () => (ring.hidden = true));
    plot.on("plotly_click", ({ points: [point] }) => walk?.pin(point.curveNumber, point.pointNumber));
    plot.on("plotly_relayout", () => (ring.hidden = true));
  }

  async function draw() {
    const chosen = Object.fromEntries(selects.map((select) => [select.dataset.choice, select.value]));
    const now = resolve(spec, chosen);
    const colour = palette();
    const traces = coloured(now.data ?? [], colour);
    traces.forEach((trace) => (trace.visible = !hidden.has(trace.name)));
    const narrow = plot.clientWidth < 560;
    const made = coloured(layout(now.layout, narrow, traces.length === 0), colour);
    ring.hidden = true;
    legend(list, traces, hidden, draw);
    walk?.update(traces);
    await Plotly.react(plot, traces, made, CONFIG);
    if (!listening) listen();
    listening = true;
  }

  const save = () => Plotly.downloadImage(plot, { format: "png", scale: 2, filename: title, width: 960, height: 540 });
  const button = element("button", { type: "button", className: "save", onclick: save }, "Save picture");
  figure.querySelector(":scope > details").before(button);
  selects.forEach((select) => select.addEventListener("change", draw));
  document.addEventListener("themed", draw);
  return draw();
}

// ---- each is drawn when the reader comes near it, all of them before printing
{
  const waiting = new Set(document.querySelectorAll("figure.card"));
  const start = (figure) => waiting.delete(figure) && mount(figure);
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => start(entry.target)),
    { rootMargin: "600px" },
  );
  waiting.forEach((figure) => near.observe(figure));
  addEventListener("beforeprint", () => waiting.forEach(start));
}
