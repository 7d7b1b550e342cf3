/* One session, in full. */

import { byId, fit, make, setText } from "./element.js";
import { age, bytes, count, moment, ms, NOTHING, percent, rate } from "./format.js";
import { Plots } from "./plots.js";

const LIMITS = {
  path: "the path",
  window: "the window of the receiver",
  "peer's disk": "the disk at the other end",
  "own disk": "the disk here",
  CPU: "the processor",
  limit: "the limit that was asked for",
};

export class Detail {
  constructor(model) {
    this.model = model;
    this.plots = new Plots();
    this.link = "";
    this.session = null; // the last that the server sent of it in full
  }

  /** Show this session from now on; empty for none. */
  choose(link) {
    if (link === this.link) return;
    this.link = link;
    this.session = null;
    this.plots.clear();
    byId("ports").tBodies[0].replaceChildren();
    byId("transfers").replaceChildren();
    this.draw();
  }

  look({ link, session, points }) {
    if (link !== this.link) return;
    if (session) this.session = session;
    this.plots.add(points);
    this.draw();
  }

  draw() {
    const known = this.model.sessions.get(this.link) ?? this.session;
    byId("detail").hidden = !known;
    if (!known) return;
    const over = Boolean(known.closed_ms);
    setText(byId("detail-name"), known.name);
    setText(byId("detail-state"), over ? "ended" : "live");
    byId("detail-state").classList.toggle("ended", over);
    setText(byId("detail-key"), known.fingerprint);
    setText(byId("detail-address"), known.address || this.session?.ports[0].address || NOTHING);
    const until = known.closed_ms || this.model.now();
    setText(byId("detail-since"), `${moment(known.opened_ms)}, ${age(until - known.opened_ms)}`);
    setText(byId("detail-link"), `${this.link.slice(0, 16)}…`);
    byId("end-session").hidden = over;
    setText(byId("detail-says"), this.says(known));
    byId("detail-says").classList.toggle("bad", over || Boolean(this.silent().length));
    if (this.session) {
      this.drawPorts(this.session.ports);
      this.drawTransfers(over ? [] : this.session.transfers);
    }
    this.plots.draw(until);
  }

  silent() {
    return this.session?.ports.filter((port) => port.state === "silent") ?? [];
  }

  /** How it does, in a sentence. */
  says(known) {
    if (known.closed_ms) return `Ended at ${moment(known.closed_ms)}: ${known.why}.`;
    if (!this.session) return "Loading …";
    const silent = this.silent();
    const { ports } = this.session;
    if (silent.length === ports.length) return `Nothing has come for ${silent[0].silent_s} s, on any port.`;
    if (silent.length) {
      const named = silent.map((port) => `${port.port} (UDP ${port.number})`).join(" and ");
      return `Nothing has come on ${named} for ${Math.max(...silent.map((port) => port.silent_s))} s; the rest answers.`;
    }
    if (ports.some((port) => port.state === "waiting")) return "Waiting for the first heartbeat.";
    const worst = Math.max(...ports.map((port) => port.loss));
    return worst > 0 ? `All three ports answer, and lose up to ${percent(worst)}.` : "All three ports answer.";
  }

  drawPorts(ports) {
    const body = byId("ports").tBodies[0];
    fit(body, ports.length, () => {
      const row = document.createElement("tr");
      const head = make("th");
      head.scope = "row";
      row.append(head, make("td"), ...Array.from({ length: 9 }, () => make("td", "figure")));
      return row;
    });
    ports.forEach((port, index) => {
      const clock = port.clock_offset_ms;
      const sign = clock > 0 ? "+" : "";
      const shown = clock === null ? NOTHING : `${sign}${clock.toFixed(1)} ± ${ms(port.clock_error_ms)}`;
      const texts = [
        `${port.port} ${port.number}`, port.state, ms(port.last_ms), ms(port.smoothed_ms), ms(port.minimum_ms),
        ms(port.jitter_ms), `${count(port.lost)} of ${count(port.lost + port.answered)}`, shown,
        bytes(port.bytes_received), bytes(port.bytes_sent), count(port.dropped),
      ];
      const cells = body.rows[index].cells;
      texts.forEach((text, at) => setText(cells[at], text));
      cells[1].className = `port-${port.state}`;
      cells[6].classList.toggle("bad", port.loss > 0);
    });
  }

  drawTransfers(transfers) {
    byId("no-transfers").hidden = transfers.length > 0;
    fit(byId("transfers"), transfers.length, makeTransfer);
    transfers.forEach((transfer, index) => {
      const [head, bar, figures] = byId("transfers").children[index].children;
      setText(head.children[0], transfer.direction === "put" ? "from the client" : "to the client");
      setText(head.children[1], transfer.name);
      const share = transfer.size ? transfer.moved / transfer.size : 1;
      setText(head.children[2], percent(share));
      bar.value = share;
      bar.ariaLabel = transfer.name;
      const told = [
        ["Moved", `${bytes(transfer.moved)} of ${bytes(transfer.size)}`],
        ["Rate", rate(transfer.rate)],
        ["In flight", bytes(transfer.in_flight)],
        ["Window", bytes(transfer.window)],
        ["Sent again", bytes(transfer.retransmitted)],
        ["Limited by", LIMITS[transfer.limited_by] ?? (transfer.limited_by || "known at the client")],
      ];
      told.forEach(([name, value], at) => {
        setText(figures.children[at].children[0], name);
        setText(figures.children[at].children[1], value);
      });
    });
  }
}

function makeTransfer() {
  const item = make("li");
  const head = make("div", "transfer-head");
  head.append(make("span", "way"), make("span", "file"), make("span", "figure"));
  const bar = make("progress");
  bar.max = 1;
  const figures = make("dl", "facts");
  for (let index = 0; index < 6; index += 1) {
    const pair = make("div");
    pair.append(make("dt"), make("dd"));
    figures.append(pair);
  }
  item.append(head, bar, figures);
  return item;
}
