/* The page: from the stream to what is shown.

     Stream --snapshot, delta--> Model --> List, tiles, events
            --look-------------> Detail --> Plots                                                                  */

import { Actions, logIn } from "./actions.js";
import { Detail } from "./detail.js";
import { byId, fit, make, setText } from "./element.js";
import { age, clock, count, moment, shortKey } from "./format.js";
import { List } from "./list.js";
import { Model } from "./model.js";
import { Stream } from "./stream.js";

const SHOWN_EVENTS = 100;

const model = new Model();
const detail = new Detail(model);
const list = new List(model, choose);
const actions = new Actions(() => stream.open());
const stream = new Stream({
  snapshot(sent) {
    model.snapshot(sent);
    if (!model.sessions.has(detail.link)) detail.choose(""); // another start of the server does not know it
    chooseFirst();
    draw();
  },
  delta(sent) {
    model.delta(sent);
    chooseFirst();
    draw();
  },
  look: (sent) => detail.look(sent),
  up: () => showConnection(true),
  down: () => {
    showConnection(false);
    askWhetherMayLook();
  },
});

/** Show a session, and let the server send everything of it. */
function choose(link, byPerson = true) {
  list.chosen = link;
  detail.choose(link);
  list.draw();
  stream.open(link);
  if (byPerson && matchMedia("(max-width: 60rem)").matches) byId("detail").scrollIntoView();
}

/** While nobody has chosen, the first session is shown: a page that opens has something to show. */
function chooseFirst() {
  if (detail.link && (model.sessions.has(detail.link) || detail.session)) return;
  const [first] = list.wanted();
  if (first) setTimeout(() => choose(first.link, false));
}

function draw() {
  list.draw();
  drawTiles();
  drawEvents();
  if (model.sessions.get(detail.link)?.closed_ms) detail.draw();
}

function drawTiles() {
  const { server } = model;
  setText(byId("server-key"), shortKey(server.fingerprint));
  byId("server-key").title = `The fingerprint of this server's key: ${server.fingerprint}; version ${server.version}`;
  setText(byId("tile-sessions"), count(server.sessions));
  setText(byId("tile-files"), count(model.filesUnderWay()));
  setText(byId("tile-free"), count(server.ports_free));
  setText(byId("tile-used"), count(server.ports_used));
  setText(byId("tile-resting"), count(server.ports_resting));
  const refused = Object.entries(server.refusals);
  setText(byId("tile-refused"), count(refused.reduce((sum, [, number]) => sum + number, 0)));
  byId("tile-refused").title = refused.map(([reason, number]) => `${reason}: ${number}`).join(", ");
  setText(byId("tile-uptime"), age(model.now() - server.started_ms));
}

let drawnEvent = -1;

function drawEvents() {
  const newest = model.events.at(-1)?.number ?? 0;
  if (newest === drawnEvent) return;
  drawnEvent = newest;
  const shown = model.events.slice(-SHOWN_EVENTS).reverse();
  fit(byId("event-list"), shown.length, () => {
    const item = make("li");
    item.append(make("time"), make("span", "kind"), make("span", "text"));
    return item;
  });
  shown.forEach((event, index) => {
    const [time, kind, text] = byId("event-list").children[index].children;
    setText(time, clock(event.at_ms));
    time.dateTime = new Date(event.at_ms).toISOString();
    time.title = moment(event.at_ms);
    setText(kind, event.kind);
    kind.className = `kind ${event.kind}`;
    setText(text, event.text);
  });
}

let lostAt = 0;

function showConnection(up) {
  if (up === (lostAt === 0) && byId("connection").textContent !== "connecting") return;
  lostAt = up ? 0 : Date.now();
  setText(byId("connection"), up ? "live" : "no connection");
  byId("connection").classList.toggle("up", up);
  document.body.classList.toggle("stale", !up);
  byId("lost").hidden = up;
  setText(byId("lost"), up ? "" : `The server does not answer since ${clock(lostAt)}. What is shown is from before; trying again …`);
}

/** The stream may have failed because reading needs the secret; what may be done can change with the server's restart. */
async function askWhetherMayLook() {
  try {
    const access = await (await fetch("/api/access")).json();
    actions.mayAct = access.act;
    if (!access.look) actions.askForSecret();
  } catch {
    /* the server is gone, which the page says already */
  }
}

/** The secret comes in the fragment of the link that the server printed, and does not stay in the address bar. */
async function takeSecret() {
  const [, secret] = /^#secret=(.+)$/.exec(location.hash) ?? [];
  if (!secret) return;
  history.replaceState(null, "", location.pathname);
  try {
    await logIn(decodeURIComponent(secret));
  } catch (error) {
    setText(byId("login-form").querySelector(".error"), `${error.message}: this link is of another start of the server`);
    actions.askForSecret();
  }
}

async function start() {
  await takeSecret();
  await askWhetherMayLook();
  stream.open();
}

byId("end-session").addEventListener("click", () => actions.endSession(model.sessions.get(detail.link)));
byId("revoke").addEventListener("click", () => actions.revoke(model.sessions.get(detail.link) ?? detail.session));
addEventListener("hashchange", start);
start();
