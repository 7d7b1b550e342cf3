/* Heartbeats, one by one, as what is drawn of them: percentiles over the last ones, jitter and loss by port. */

const KEPT = 4000; // heartbeats of all three ports
const WINDOW = 45; // round trips that the percentiles are of: fifteen heartbeats on three ports
const EDGE = 2; // times the highest p90 that is shown: what took longer stands at the plot's edge, and leaves the rest room
const LOSS_WINDOW = 100; // heartbeats of a port
export const PORTS = ["ctrl", "up", "dn"];
const SHARES = { p10: 0.1, p25: 0.25, p50: 0.5, p75: 0.75, p90: 0.9 };
const COLUMNS = [...Object.keys(SHARES), "ctrl", "up", "dn", "lost", "jitter_ctrl", "jitter_up", "jitter_dn",
  "loss_ctrl", "loss_up", "loss_dn"];

export class Smoke {
  constructor() {
    this.times = []; // seconds since 1970
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, []]));
    this.recent = []; // the round trips of the window, the oldest first
    this.sorted = []; // the same, the least first
    this.ports = Object.fromEntries(PORTS.map((port) => [port, { at: 0, before: null, jitter: 0, lost: [] }]));
  }

  /** Take in what the server sent: by port, time and microseconds in turns; what was sent before is passed over. */
  add(points) {
    const fresh = [];
    for (const port of PORTS) {
      const sent = points[port] ?? [];
      const known = this.ports[port].at;
      for (let index = 0; index < sent.length; index += 2) {
        if (sent[index] > known) fresh.push([sent[index], sent[index + 1], port]);
      }
      if (sent.length) this.ports[port].at = Math.max(known, sent[sent.length - 2]);
    }
    fresh.sort((one, other) => one[0] - other[0]);
    for (const [at, value, port] of fresh) this.addOne(at / 1000, value, port);
    const excess = this.times.length - KEPT;
    if (excess > 0) {
      this.times.splice(0, excess);
      for (const name of COLUMNS) this.columns[name].splice(0, excess);
    }
    return fresh.length > 0;
  }

  addOne(at, microseconds, port) {
    const last = this.times.length ? this.times[this.times.length - 1] : 0;
    const state = this.ports[port];
    const row = Object.fromEntries(COLUMNS.map((name) => [name, null]));
    state.lost.push(microseconds < 0 ? 1 : 0);
    if (state.lost.length > LOSS_WINDOW) state.lost.shift();
    row[`loss_${port}`] = (100 * state.lost.reduce((sum, lost) => sum + lost, 0)) / state.lost.length;
    if (microseconds < 0) {
      row.lost = 0;
    } else {
      const value = microseconds / 1000;
      if (state.before !== null) state.jitter += (Math.abs(value - state.before) - state.jitter) / 16; // RFC 3550 6.4.1
      state.before = value;
      row[port] = value;
      row[`jitter_${port}`] = state.jitter;
      this.remember(value);
    }
    for (const [name, share] of Object.entries(SHARES)) row[name] = this.quantile(share);
    this.times.push(Math.max(at, last)); // uPlot wants them in order
    for (const name of COLUMNS) this.columns[name].push(row[name]);
  }

  remember(value) {
    this.recent.push(value);
    this.sorted.splice(this.place(value), 0, value);
    if (this.recent.length > WINDOW) this.sorted.splice(this.place(this.recent.shift()), 1);
  }

  /** Where the first value stands that is not less. */
  place(value) {
    let [low, high] = [0, this.sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  quantile(share) {
    if (!this.sorted.length) return null;
    const at = share * (this.sorted.length - 1);
    const low = this.sorted[Math.floor(at)];
    return low + (this.sorted[Math.ceil(at)] - low) * (at % 1);
  }

  /** The columns from a time on, as uPlot takes them; one heartbeat before it too, so that lines come in from the left. */
  since(at, names) {
    let first = this.times.findIndex((time) => time >= at);
    if (first < 0) first = this.times.length;
    first = Math.max(0, first - PORTS.length);
    const edge = EDGE * Math.max(0, ...this.columns.p90.slice(first));
    const within = (value) => (value === null ? null : Math.min(value, edge));
    return [
      this.times.slice(first),
      ...names.map((name) => {
        const column = this.columns[name].slice(first);
        return PORTS.includes(name) ? column.map(within) : column;
      }),
    ];
  }
}
