/* The live stream: server-sent events, noticed when they stop, and taken up again where they were. */

const SILENCE = 5000; // ms without anything, where something comes every second: the server is lost
const RETRIES = [500, 1000, 2000, 4000]; // ms from one try to the next

export class Stream {
  /** `handlers`: snapshot, delta and look take what the server sends; up and down tell how the stream does. */
  constructor(handlers) {
    this.handlers = handlers;
    this.watched = "";
    this.last = "";
    this.source = null;
    this.heard = 0;
    this.failures = 0;
    this.timer = 0;
    setInterval(() => this.watch(), 1000);
  }

  /** Stream from now on, with everything of one session; empty for none. */
  open(watched = this.watched) {
    this.watched = watched;
    this.close();
    const query = new URLSearchParams();
    if (watched) query.set("watch", watched);
    if (this.last) query.set("after", this.last);
    this.heard = performance.now();
    const source = new EventSource(`/api/stream?${query}`);
    this.source = source;
    for (const name of ["snapshot", "delta", "look"]) {
      source.addEventListener(name, (event) => this.take(source, name, event));
    }
    source.onerror = () => {
      if (this.source === source) this.fail();
    };
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  take(source, name, event) {
    if (this.source !== source) return;
    this.heard = performance.now();
    this.failures = 0;
    if (event.lastEventId) this.last = event.lastEventId;
    this.handlers.up();
    this.handlers[name](JSON.parse(event.data));
  }

  watch() {
    if (this.source && performance.now() - this.heard > SILENCE) this.fail();
  }

  fail() {
    this.close();
    this.handlers.down();
    const wait = RETRIES[Math.min(this.failures, RETRIES.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), wait);
  }
}
