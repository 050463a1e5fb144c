// What is shown of a point of a plot: its picture and numbers, a slider along all points, and one card that stays.
"use strict";

const LAYERS = JSON.parse(document.getElementById("layers")?.textContent ?? "{}");

function layer(key, place) {
  const [png, caption] = LAYERS[key] ?? ["", ""];
  const text = element("p", {}, "Layer " + (place + 1) + "\n" + caption);
  if (!png) return element("li", {}, text);
  const alt = "Wiring of layer " + (place + 1) + ": the darker, the more edges between these inputs and outputs";
  return element("li", {}, element("img", { src: "data:image/png;base64," + png, alt }), text);
}

function card(cards, k, pinned, press) {
  const facts = cards.names.map((name, place) => [name, cards.facts[k][place]]).filter(([, text]) => text !== "" && text !== "-");
  const pairs = facts.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text)));
  const button = element("button", { type: "button", onclick: press }, pinned ? "Unpin" : "Pin");
  const name = element("p", { className: "name" }, cards.titles[k]);
  return element(
    "div",
    { className: pinned ? "graph pinned" : "graph" },
    element("div", { className: "top" }, name, button),
    element("ul", { className: "layers" }, ...cards.layers[k].map(layer)),
    element("dl", { className: "facts" }, ...pairs),
  );
}

// Returns {show(curve, point), pin(curve, point), update(traces)}; `point_at(curve, point)` marks a point of the plot.
function explorer(figure, cards, point_at) {
  const id = figure.id + "-walk";
  const slider = element("input", { type: "range", id, min: 0, step: 1, autocomplete: "off" });
  const label = element("label", { htmlFor: id }, "Graph");
  const walk = element("div", { className: "walk" }, label, slider);
  const panel = element("div", { className: "cards" });
  figure.querySelector("details").before(walk, panel);
  let points = [];
  let shown = null;
  let pinned = null;

  function draw() {
    const made = [];
    if (shown !== null) made.push(card(cards, shown, false, () => pin(shown)));
    if (pinned !== null) made.push(card(cards, pinned, true, () => pin(pinned)));
    panel.replaceChildren(...made);
  }

  function pin(k) {
    pinned = pinned === k ? null : k;
    const inside = panel.contains(document.activeElement);
    draw();
    if (inside) panel.querySelector("button")?.focus();
  }

  function choose(place) {
    const point = points[place];
    if (!point) return;
    const text = cards.titles[point.card] + ", " + (place + 1) + " of " + points.length;
    slider.value = place;
    slider.setAttribute("aria-valuetext", text + ", x " + point.x + ", y " + point.y);
    label.textContent = "Graph: " + text;
    if (shown !== point.card) {
      shown = point.card;
      draw();
    }
  }

  const find = (curve, point) => points.findIndex((p) => p.curve === curve && p.point === point);
  slider.addEventListener("input", () => {
    const point = points[slider.valueAsNumber];
    choose(slider.valueAsNumber);
    if (point) point_at(point.curve, point.point);
  });
  slider.addEventListener("blur", () => point_at(null));

  return {
    show: (curve, point) => choose(find(curve, point)),
    pin: (curve, point) => {
      const found = points[find(curve, point)];
      if (found) pin(found.card);
    },
    update: (traces) => {
      points = traces.flatMap((trace, curve) =>
        trace.visible === false || !trace.customdata
          ? []
          : trace.customdata.map((k, point) => ({ card: k, x: trace.x[point], y: trace.y[point], curve, point })),
      );
      points = points.filter(({ x, y }) => x !== null && y !== null);
      points.sort((a, b) => a.x - b.x || a.y - b.y);
      walk.hidden = points.length === 0;
      slider.max = Math.max(points.length - 1, 0);
      const kept = points.findIndex((point) => point.card === shown);
      const best = points.reduce((top, point, place) => (point.y > points[top].y ? place : top), 0);
      if (points.length) choose(kept < 0 ? best : kept);
      else {
        shown = null;
        draw();
      }
    },
  };
}
