"""What the live page takes with many sessions: of the server, of the network, of a browser.

    python bench/admin_page.py [--sessions 1000] [--seconds 20] [--many 200]

Real sessions with 5 s heartbeats from this process; pages are plain sockets that read the stream in a process of their
own, and one a real headless Chromium where there is one. Shares are of one core; the server's own for its sessions is
measured first, without a page. A page that opens is timed until its list shows a session, by the browser's own clock.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import selectors
import socket
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from many_sessions import AT_A_TIME, CATCH_UP, SETTLE, Crowd
from rig import ServerProcess, free_tcp_port, run, running_server
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from bittrrt.app.descriptors import allow_many_files
from bittrrt.net.client_connection import ClientConnection
from bittrrt.net.session_opener import SessionOpener
from bittrrt.settings import Settings

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.app.browser import MISSING, Browser  # the same that the tests drive

TICK = os.sysconf("SC_CLK_TCK")
GOALS = (
    "goals at 1,000: ten pages under 5 % of a core and 20 KB/s each; p99 with 200 pages within 2 ms of none;"
    " a page open in 1 s, under 30 % of a core"
)


def read_pages(port: int, link: str, pipe: Connection) -> None:
    """Keep as many pages open as the other end says, and tell how many bytes came since it asked last."""
    allow_many_files()
    waiting, count = selectors.DefaultSelector(), 0
    waiting.register(pipe, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is not pipe:
                page: Any = key.fileobj
                count += len(page.recv(1 << 20))
                continue
            wanted = pipe.recv()
            while len(waiting.get_map()) - 1 < wanted:
                page = socket.create_connection(("127.0.0.1", port))
                page.sendall(f"GET /api/stream?watch={link} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                waiting.register(page, selectors.EVENT_READ)
            pipe.send(count)
            count = 0


class Rows:
    """Measures for so many seconds, and prints a row."""

    def __init__(self, reactor: Any, server: ServerProcess, crowd: Crowd, pages: Connection, seconds: float) -> None:
        self._reactor, self._server, self._crowd, self._pages, self._seconds = reactor, server, crowd, pages, seconds
        self.bare = 0.0
        """The server's share without a page."""

    async def measure(self, pages: int) -> None:
        """With so many pages open."""
        self._pages.send(pages)
        self._pages.recv()
        await deferLater(self._reactor, CATCH_UP + 1)
        self._pages.send(pages)
        self._pages.recv()
        self._crowd.round_trips.__init__()  # type: ignore[misc]
        cpu, at = self._server.cpu_seconds(), time.monotonic()
        self._crowd.counting = True
        await deferLater(self._reactor, self._seconds)
        self._crowd.counting = False
        took = time.monotonic() - at
        share = (self._server.cpu_seconds() - cpu) / took
        self._pages.send(pages)
        rate = self._pages.recv() / took / max(pages, 1) / 1000
        if not pages:
            self.bare = share
        times = [(self._crowd.round_trips.quantile(q) or 0) * 1000 for q in (0.5, 0.99)]
        print(
            f"{pages:6d} {share:9.1%} {share - self.bare:9.1%} {rate:9.1f} {times[0]:11.2f} {times[1]:9.2f}"
            f" {self._crowd.incomplete:6d}",
            flush=True,
        )


async def measure(reactor: Any, server: ServerProcess, options: argparse.Namespace) -> None:
    """Open the sessions, then pages, then a browser."""
    crowd, opener = Crowd(), SessionOpener(reactor, Settings(), server.client, server.server)
    opened: list[ClientConnection] = []
    todo = iter(range(options.sessions))

    async def open_some() -> None:
        for _ in todo:
            opened.append(await opener.open(crowd))

    for one in [Deferred.fromCoroutine(open_some()) for _ in range(AT_A_TIME)]:
        await one
    await deferLater(reactor, SETTLE)
    gc.collect()
    gc.freeze()  # the crowd's own pauses are not the server's
    url = json.loads((server.home / "admin.json").read_text())["url"]
    here, there = multiprocessing.get_context("spawn").Pipe()
    arguments = (urlsplit(url).port, opened[0].link_id, there)
    reader = multiprocessing.get_context("spawn").Process(target=read_pages, args=arguments, daemon=True)
    reader.start()
    rows = Rows(reactor, server, crowd, here, options.seconds)
    print(f"{options.sessions} sessions\n pages    server  for them  KB/s each  median ms    p99 ms   lost", flush=True)
    for pages in (0, 10, options.many):
        await rows.measure(pages)
    reader.terminate()
    if MISSING:
        print(f"no figures of a browser, not installed: {MISSING}")
    else:
        await measure_browser(reactor, url, options)
    for connection in opened:
        connection.close()


async def measure_browser(reactor: Any, url: str, options: argparse.Namespace) -> None:
    """Time from asking for the page until it shows sessions, and what it then takes."""
    browser, child = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=watch_page, args=(url, options, child), daemon=True)
    process.start()
    while not browser.poll():
        await deferLater(reactor, 0.5)
    opening, share, shown = browser.recv()
    print(f"a page in Chromium: sessions shown after {opening:.0f} ms, then {share:.1%} of a core; it shows {shown}")
    process.join()


def watch_page(url: str, options: argparse.Namespace, pipe: Connection) -> None:
    """In a process of its own: a driver blocks."""
    page = Browser()
    page.open("about:blank")
    page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH_LIST})
    page.driver.get(url)
    page.wait(lambda: page.run("return window.shownAfter"), "session")
    page.wait_for_text("#detail-says", "answer")
    shown = page.text("#shown")
    tree = processes_of(page.driver.service.process.pid)
    cpu, at = sum(map(cpu_seconds, tree)), time.monotonic()
    time.sleep(options.seconds)
    share = (sum(map(cpu_seconds, tree)) - cpu) / (time.monotonic() - at)
    pipe.send((page.run("return window.shownAfter"), share, shown))
    page.close()


WATCH_LIST = """
new MutationObserver((_, self) => {
  if (!document.querySelector("#list tbody tr")) return;
  self.disconnect();
  requestAnimationFrame(() => { window.shownAfter = performance.now(); });
}).observe(document, { childList: true, subtree: true });
"""
"""Notes when the list has its first session, in ms since the page was asked for."""


def processes_of(root: int) -> list[int]:
    """A process' descendants, itself left out."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended since
    found = [root]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far; of one that has ended, none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--many", type=int, default=200, help="pages")
    options = parser.parse_args()
    allow_many_files()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    more = ("--port-ranges", "10000-29999", "--max-sessions-per-key", "100000")
    admin = f"tcp:{free_tcp_port()}:interface=127.0.0.1"
    with running_server(*more, "--admin", admin, pin=cores[0]) as server:
        run(lambda reactor: measure(reactor, server, options))
    print(GOALS)


if __name__ == "__main__":
    main()
