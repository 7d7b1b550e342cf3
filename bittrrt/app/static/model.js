/* What this page knows of the server: applied from a snapshot, then from what changes. */

const KEPT_ENDED = 600_000; // ms, as the server keeps them
const KEPT_EVENTS = 300;

export class Model {
  constructor() {
    this.reset();
  }

  reset() {
    this.server = null;
    this.sessions = new Map(); // by link, those that are over too
    this.byKey = new Map(); // those that are live, by the number that rows name them by
    this.events = []; // the newest last
    this.ahead = 0; // ms that the server's clock is before this one's
  }

  /** The server's time of day, ms since 1970. */
  now() {
    return Date.now() + this.ahead;
  }

  snapshot(sent) {
    this.reset();
    this.ahead = sent.now_ms - Date.now();
    this.server = sent.server;
    sent.closed.forEach((facts) => this.sessions.set(facts.link, facts));
    this.apply(sent);
  }

  delta(sent) {
    this.ahead = sent.now_ms - Date.now();
    if (sent.server) this.server = sent.server;
    this.apply(sent);
    for (const [link, session] of this.sessions) {
      if (session.closed_ms && this.now() - session.closed_ms > KEPT_ENDED) this.sessions.delete(link);
    }
  }

  apply({ facts = [], rows = [], ended = [], events = [] }) {
    for (const each of facts) {
      const session = Object.assign(this.byKey.get(each.key) ?? this.fresh(), each);
      this.byKey.set(each.key, session);
      this.sessions.set(each.link, session);
    }
    for (const [key, states, rtt, jitter, loss, files, rate] of rows) {
      const session = this.byKey.get(key);
      if (session) Object.assign(session, { states, rtt, jitter, loss, files, rate });
    }
    for (const { key, closed_ms, why } of ended) {
      const session = this.byKey.get(key);
      if (session) Object.assign(session, { closed_ms, why, files: 0, rate: 0 });
      this.byKey.delete(key);
    }
    const newest = this.events.at(-1)?.number ?? 0;
    this.events.push(...events.filter((event) => event.number > newest));
    this.events.splice(0, this.events.length - KEPT_EVENTS);
  }

  fresh() {
    return { states: "www", rtt: null, jitter: null, loss: null, files: 0, rate: 0, closed_ms: null, why: null };
  }

  filesUnderWay() {
    let files = 0;
    for (const session of this.byKey.values()) files += session.files;
    return files;
  }
}
