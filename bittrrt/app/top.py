"""`bittrrt top`: the server that runs here, or a link of one's own, as a picture that goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater

from ..errors import LinkError, SettingsError
from ..files.home import Home
from ..net.client_connection import ClientConnection, HeartbeatRound
from ..net.clock import SYSTEM_CLOCK, Clock
from ..net.session_opener import SessionOpener
from .admin_client import AdminClient
from .begun_session import begun_session
from .kept_link import KeptLink
from .opening import session_opener
from .running import run_command
from .terminal import Keys, Screen
from .top_link import LinkPicture
from .top_server import ServerPicture

INTERVAL: Final = 1.0  # seconds from one look to the next
PATIENCE: Final = 10  # so many times as long as the last answer took: a tenth of a busy server's time, at most
HEARTBEAT: Final = 1000  # milliseconds, of a link of one's own; a column a second
LOST: Final = "the server does not answer any more; looking again"

MakeKeys = Callable[[Callable[[str], None]], Keys]


class ServerTop:
    """Looks at the server of one home until somebody has seen enough."""

    def __init__(
        self, client: AdminClient, screen: Screen, *, clock: Clock = SYSTEM_CLOCK, make_keys: MakeKeys = Keys
    ) -> None:
        self._client = client
        self._screen = screen
        self._clock = clock
        self._keys = make_keys(self._press)
        self._picture = ServerPicture()
        self._going: Deferred[None] | None = None
        self._stopped: Deferred[None] = Deferred()

    async def run(self, reactor: Any) -> int:
        """The exit status. Raises `LinkError` if no server answers at first. Without a terminal one look is all."""
        reactor.addSystemEventTrigger("before", "shutdown", self._interrupted)
        try:
            took = await self._look()
            if not self._screen.is_terminal:
                self._draw()
                return 0
            self._screen.start()
            self._keys.start(reactor)
            self._going = Deferred.fromCoroutine(self._go_on(reactor, took))
            await self._going
        except CancelledError:
            return 0
        finally:
            self._keys.stop()
            self._screen.stop()
            await self._client.close()
            self._stopped.callback(None)
        return 0

    async def _look(self) -> float:
        """Ask, and remember; how many seconds that took."""
        began = self._clock.monotonic()
        state = await self._client.state()
        self._picture.update(state, self._clock.wall_ms())
        return self._clock.monotonic() - began

    async def _go_on(self, reactor: Any, took: float) -> None:
        while True:
            self._draw()
            await deferLater(reactor, max(INTERVAL, took * PATIENCE))
            try:
                took = await self._look()
            except LinkError:
                self._picture.trouble = LOST

    def _draw(self) -> None:
        self._screen.draw(self._picture.lines(*self._screen.size))

    def _press(self, key: str) -> None:
        if self._picture.press(key, self._screen.size[1]):
            self._draw()
        else:
            self._interrupted()

    def _interrupted(self) -> Deferred[None] | None:
        """Ctrl-C, or q: give the terminal back before the reactor ends."""
        if self._stopped.called or self._going is None:
            return None
        self._going.cancel()
        return self._stopped


class LinkTop(KeptLink):
    """Keeps a link up, and draws it until somebody has seen enough."""

    def __init__(self, opener: SessionOpener, screen: Screen, *, make_keys: MakeKeys = Keys) -> None:
        super().__init__(opener)
        self._screen = screen
        self._keys = make_keys(self._press)
        self._picture = LinkPicture(opener.server.host)
        self._reactor = opener.reactor
        self._drawing = LoopingCall(self._draw)
        self._drawing.clock = self._reactor

    async def run(self, reactor: Any) -> int:
        """The exit status. Raises `LinkError` if no session opens, or if none can be opened any more."""
        await self._keep_up(reactor)
        return 0

    def _show_end(self) -> None:
        if self._drawing.running:
            self._drawing.stop()
        self._keys.stop()
        self._screen.stop()

    def _draw(self) -> None:
        self._screen.draw(self._picture.lines(*self._screen.size))

    def _press(self, key: str) -> None:
        if key in ("q", "Q"):
            self._finish()

    def _say(self, what: str) -> None:
        self._picture.says = what

    # --- KeeperObserver ---

    def link_up(self, connection: ClientConnection) -> None:
        """See `KeeperObserver`."""
        self._picture.up(connection)
        if not self._drawing.running and not self._finished.called:
            self._screen.start()
            self._keys.start(self._reactor)
            self._drawing.start(INTERVAL).addErrback(self._fail)

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """See `SessionObserver`."""
        self._picture.beat(beat)


@click.command("top")
@click.argument("host", required=False)
@click.option("--interval", "-i", type=click.IntRange(50, 3_600_000), default=HEARTBEAT, show_default=True,
              help="Milliseconds between heartbeats to HOST.")  # fmt: skip
@click.pass_context
def top_command(ctx: click.Context, host: str | None, interval: int) -> None:
    """Watch the server that runs here; or, with HOST, a link of your own with that server.

    Of a server: every session, its transfers, and what happened last. Keys: up and down choose a session, s sorts, q
    ends. Without a terminal it prints one look.

    Of a link: a plot for each port, its round trips with smoke from the 10th to the 90th percentile.
    """
    from twisted.internet import reactor  # noqa: PLC0415  not before there is use for it

    screen = Screen()
    if host is None:
        run_command(ServerTop(AdminClient(Home(ctx.obj.home), reactor), screen).run)
        return
    if not screen.is_terminal:
        raise SettingsError(f"a picture that goes on takes a terminal: run bittrrt ping {host}")
    with begun_session(ctx.obj, host) as begun:
        run_command(LinkTop(session_opener(begun, heartbeat=interval), screen).run)
