/* The list of sessions: filtered, sorted, a page of it at a time, so that a thousand cost no more than twenty-five. */

import { byId, fit, make, setText } from "./element.js";
import { ms, NOTHING, percent, rate, shortAge, shortKey } from "./format.js";

const PAGE = 25; // rows
const PORTS = ["ctrl", "up", "dn"];
const STATES = { w: "waiting", a: "alive", s: "silent" };

export class List {
  /** `choose` is told the link of the session that a person wants to see. */
  constructor(model, choose) {
    this.model = model;
    this.choose = choose;
    this.chosen = "";
    this.page = 0;
    this.sort = "name";
    this.descending = false;
    this.body = byId("list").tBodies[0];
    byId("search").addEventListener("input", () => this.turnTo(0));
    byId("filter").addEventListener("change", () => this.turnTo(0));
    byId("previous").addEventListener("click", () => this.turnTo(this.page - 1));
    byId("next").addEventListener("click", () => this.turnTo(this.page + 1));
    for (const head of byId("list").tHead.rows[0].cells) {
      head.firstElementChild.addEventListener("click", () => this.sortBy(head.dataset.sort));
    }
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) this.choose(row.dataset.link);
    });
    this.body.addEventListener("keydown", (event) => this.move(event));
  }

  turnTo(page) {
    this.page = page;
    this.draw();
  }

  sortBy(field) {
    this.descending = this.sort === field ? !this.descending : field !== "name";
    this.sort = field;
    this.turnTo(0);
  }

  /** The arrow keys go from one session to the next. */
  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("tr");
    if (!step || !row) return;
    event.preventDefault();
    this.body.rows[row.sectionRowIndex + step]?.querySelector("button").focus();
  }

  wanted() {
    const text = byId("search").value.trim().toLowerCase();
    const filter = byId("filter").value;
    const shown = [...this.model.sessions.values()].filter((session) => {
      const over = Boolean(session.closed_ms);
      if (filter === "live" && over) return false;
      if (filter === "ended" && !over) return false;
      if (filter === "trouble" && (over || !(session.states.includes("s") || session.loss > 0))) return false;
      return !text || `${session.name}\n${session.fingerprint}\n${session.address}`.toLowerCase().includes(text);
    });
    const sign = this.descending ? -1 : 1;
    const field = this.sort;
    return shown.sort((one, other) => {
      if (Boolean(one.closed_ms) !== Boolean(other.closed_ms)) return one.closed_ms ? 1 : -1;
      if (one.closed_ms) return other.closed_ms - one.closed_ms;
      const [a, b] = field === "opened_ms" ? [-one.opened_ms, -other.opened_ms] : [one[field], other[field]];
      if (a === b) return one.link < other.link ? -1 : 1;
      if (a === null) return 1;
      if (b === null) return -1;
      return (typeof a === "string" ? a.localeCompare(b) : a - b) * sign;
    });
  }

  draw() {
    const sessions = this.wanted();
    const pages = Math.max(1, Math.ceil(sessions.length / PAGE));
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    const first = this.page * PAGE;
    const rows = sessions.slice(first, first + PAGE);
    fit(this.body, rows.length, makeRow);
    rows.forEach((session, index) => this.fill(this.body.rows[index], session));
    byId("empty").hidden = this.model.sessions.size > 0;
    byId("previous").disabled = this.page === 0;
    byId("next").disabled = this.page === pages - 1;
    const last = first + rows.length;
    setText(byId("shown"), sessions.length ? `${first + 1}–${last} of ${sessions.length}` : "none that fits");
    for (const head of byId("list").tHead.rows[0].cells) {
      const order = head.dataset.sort === this.sort ? (this.descending ? "descending" : "ascending") : "none";
      if (head.ariaSort !== order) head.ariaSort = order;
    }
  }

  fill(row, session) {
    const over = Boolean(session.closed_ms);
    row.dataset.link = session.link;
    row.classList.toggle("over", over);
    row.classList.toggle("chosen", session.link === this.chosen);
    const [client, ports, rtt, jitter, loss, speed, since] = row.cells;
    const button = client.firstElementChild;
    setText(button, session.name);
    if (button.ariaPressed !== String(session.link === this.chosen)) {
      button.ariaPressed = String(session.link === this.chosen);
    }
    setText(client.lastElementChild, over ? `ended: ${session.why}` : shortKey(session.fingerprint));
    fillPorts(ports.firstElementChild, over ? "" : session.states);
    setText(rtt, over ? NOTHING : ms(session.rtt));
    setText(jitter, over ? NOTHING : ms(session.jitter));
    setText(loss, over ? NOTHING : percent(session.loss));
    loss.classList.toggle("bad", !over && session.loss > 0);
    setText(speed, rate(session.rate));
    setText(since, shortAge((session.closed_ms || this.model.now()) - session.opened_ms));
  }
}

function makeRow() {
  const row = document.createElement("tr");
  const client = make("td", "client");
  const button = make("button", "name");
  button.type = "button";
  client.append(button, make("span", "under mono"));
  const ports = document.createElement("td");
  const dots = make("span", "dots");
  dots.setAttribute("role", "img");
  dots.append(...PORTS.map(() => make("i")));
  ports.append(dots);
  const figures = ["figure", "figure wide", "figure", "figure wide", "figure"].map((name) => make("td", name));
  row.append(client, ports, ...figures);
  return row;
}

function fillPorts(dots, states) {
  if (dots.dataset.states === states) return;
  dots.dataset.states = states;
  PORTS.forEach((_, index) => {
    dots.children[index].className = STATES[states[index]] ?? "closed";
  });
  const told = PORTS.map((port, index) => `${port} ${STATES[states[index]] ?? "closed"}`).join(", ");
  dots.ariaLabel = told;
  dots.title = told;
}
