"""Files between a client and a server on the simulated network: real data planes, sinks and sources, no threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from bittrrt.files.root import Root
from bittrrt.files.share import Shares
from bittrrt.net.client import Client
from bittrrt.net.client_transfers import Wanted
from bittrrt.net.server_transfers import FileService, serve_files
from bittrrt.net.streams import DataPlaneListener
from bittrrt.net.takers import Takers
from bittrrt.net.tally import Tally
from bittrrt.net.transfer_jobs import Get, Put, TransferJob
from bittrrt.net.transfer_link import TransferLink
from bittrrt.net.transfer_plane import OpenPlane

from .simulated_link import SimulatedLinkTestCase


class SimulatedTransfersTestCase(SimulatedLinkTestCase):
    """A server with a root, and a client that puts and gets as the programs do."""

    def set_up_network(self, seed: int) -> None:
        super().set_up_network(seed)
        self.network.gathering = 0.0005
        base = Path(self.enterContext(TemporaryDirectory()))
        self.there, self.here = base / "there", base / "here"
        self.there.mkdir()
        self.here.mkdir()
        self.lines: list[str] = []
        self.service = FileService(Shares(self.there), Takers(), self.in_thread, self.network, self.server.clock)
        self.server.services.files = self.serve_files
        self.listen_for_clients()

    def serve_files(self, client: Client, open_plane: OpenPlane) -> DataPlaneListener:
        return serve_files(client, open_plane, self.service, self.service.shares.of({}))

    @staticmethod
    def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
        return maybeDeferred(work)

    def put(self, *names: str, to: str = "", **options: Any) -> Put:
        paths = [self.here / name for name in names]
        return Put(paths, to, self.in_thread, Tally(), recursive=True, **options)

    def get(self, *paths: str, **options: Any) -> Get:
        root = Root(self.here)
        self.addCleanup(root.close)
        return Get([Wanted(path, root, "", recursive=True, **options) for path in paths], Tally())

    def begin(self, job: TransferJob, **link: Any) -> Deferred[None]:
        """Begin the job; `link` is what `TransferLink` takes besides."""
        running = TransferLink(self.opener(), job, self.lines.append, in_thread=self.in_thread, **link)
        return Deferred.fromCoroutine(running.run())

    def run_job(self, job: TransferJob, within: float = 60, **link: Any) -> float:
        """How many seconds it took."""
        done = self.begin(job, **link)
        took = self.network.run_until(lambda: done.called, within)
        self.successResultOf(done)
        return took
