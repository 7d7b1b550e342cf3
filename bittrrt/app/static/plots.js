/* Three plots that move: the smoke of round trips, jitter, loss. */

import { byId } from "./element.js";
import { clock, ms } from "./format.js";
import { PORTS, Smoke } from "./smoke.js";

const HEIGHTS = { "plot-round-trip": 230, "plot-jitter": 130, "plot-loss": 130 };
const NARROW = 480; // pixels: a phone's width
const DOT = 4;
const LEAST_SPAN = 30; // seconds

/** Colours are the style sheet's, so that there is one place for light and dark. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(
    ["ctrl", "up", "dn", "gone", "median", "smoke", "smoke-near", "axis", "grid"].map((name) => [name, get(name)]),
  );
}

export class Plots {
  constructor() {
    this.smoke = new Smoke();
    this.plots = [];
    this.now = Date.now();
    byId("span").addEventListener("change", () => this.draw(this.now));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
    new ResizeObserver(() => this.resize()).observe(byId("detail"));
  }

  /** Begin with another session. */
  clear() {
    this.smoke = new Smoke();
  }

  add(points) {
    this.smoke.add(points);
  }

  /** The first second that is shown: a young session fills the plot too. */
  from() {
    const now = this.now / 1000;
    const first = this.smoke.times[0] ?? now;
    return Math.max(now - Number(byId("span").value), Math.min(first, now - LEAST_SPAN));
  }

  /** Draw up to `now`, ms since 1970. */
  draw(now) {
    this.now = now;
    if (byId("detail").hidden) return;
    if (!this.plots.length) this.build();
    const from = this.from();
    for (const { plot, names } of this.plots) plot.setData(this.smoke.since(from, names));
    this.describe();
  }

  /** What the plots show, for who does not see them. */
  describe() {
    const { p10, p50, p90 } = Object.fromEntries(
      ["p10", "p50", "p90"].map((name) => [name, ms(this.smoke.columns[name].at(-1))]),
    );
    byId("plot-round-trip").ariaLabel = `Round trip: median ${p50} ms, p10 ${p10} ms, p90 ${p90} ms`;
    for (const [id, name] of [["plot-jitter", "jitter"], ["plot-loss", "loss"]]) {
      const told = PORTS.map((port) => {
        const last = this.smoke.columns[`${name}_${port}`].findLast((value) => value !== null);
        return `${port} ${name === "jitter" ? `${ms(last)} ms` : `${(last ?? 0).toFixed(0)} %`}`;
      });
      byId(id).ariaLabel = `${name === "jitter" ? "Jitter" : "Loss"}: ${told.join(", ")}`;
    }
  }

  build() {
    for (const { plot } of this.plots) plot.destroy();
    const colour = colours();
    this.plots = [
      this.make("plot-round-trip", roundTripSeries(colour), colour, {
        bands: [
          { series: [2, 1], fill: colour.smoke },
          { series: [4, 3], fill: colour["smoke-near"] },
        ],
      }),
      this.make("plot-jitter", lineSeries("jitter", colour), colour),
      this.make("plot-loss", lineSeries("loss", colour), colour, { most: 100, least: 5 }),
    ];
    this.draw(this.now);
  }

  make(id, series, colour, { bands = [], most = Infinity, least = 0.1 } = {}) {
    const axis = { stroke: colour.axis, grid: { stroke: colour.grid, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const options = {
      width: byId(id).clientWidth || 300,
      height: HEIGHTS[id],
      bands,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 8, 0, 0],
      scales: {
        x: { time: true, range: () => [this.from(), this.now / 1000] },
        y: { range: (_, __, high) => [0, Math.min(most, Math.max(least, (high ?? 0) * 1.1))] },
      },
      axes: [
        { ...axis, space: 76, size: 24, values: (_, splits) => splits.map((at) => clock(at * 1000)) },
        { ...axis, space: 28, size: 48, values: (_, splits) => splits.map((value) => String(+value.toFixed(3))) },
      ],
      series: [{}, ...series.map(({ name, ...rest }) => ({ ...rest, label: name }))],
    };
    const names = series.map(({ name }) => name);
    const plot = new window.uPlot(options, [[], ...names.map(() => [])], byId(id));
    return { plot, names, id };
  }

  resize() {
    for (const { plot, id } of this.plots) {
      const width = byId(id).clientWidth;
      if (width && Math.abs(width - plot.width) > 1) {
        plot.setSize({ width, height: HEIGHTS[id] * (width < NARROW ? 0.85 : 1) });
      }
    }
  }
}

function roundTripSeries(colour) {
  const edge = (name) => ({ name, stroke: "transparent", width: 0, points: { show: false }, spanGaps: true });
  const dots = (name, fill) => ({
    name,
    stroke: fill,
    paths: () => null,
    points: { show: true, space: 0, size: DOT, fill, width: 0 },
  });
  return [
    edge("p10"),
    edge("p90"),
    edge("p25"),
    edge("p75"),
    { name: "p50", stroke: colour.median, width: 1.5, points: { show: false }, spanGaps: true },
    ...PORTS.map((port) => dots(port, colour[port])),
    { ...dots("lost", colour.gone), points: { show: true, space: 0, size: 8, fill: colour.gone, width: 0 } },
  ];
}

function lineSeries(what, colour) {
  return PORTS.map((port) => ({
    name: `${what}_${port}`,
    stroke: colour[port],
    width: 1.5,
    spanGaps: true,
    points: { show: false },
  }));
}
