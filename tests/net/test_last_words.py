"""What is said last, before a client's goodbye: it arrives, or the client does not wait for it for long."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred

from bittrrt.errors import ReadFailed
from bittrrt.files.source import Source
from bittrrt.net.session import Session
from bittrrt.net.session_opening import open_session, serve_sessions
from bittrrt.net.transfers import LAST_WORDS

from .simulated_link import with_seeds
from .simulated_transfers import SimulatedTransfersTestCase
from .test_session import RecordingSession

SIZE = 3_000_000  # bytes
LIMIT = 1_000_000.0  # bytes a second


class LastWordsTests(SimulatedTransfersTestCase):
    """The last or only file of a transfer fails at its sender."""

    def write(self, folder: Path, name: str = "a") -> Path:
        path = folder / name
        path.write_bytes(os.urandom(SIZE))
        return path

    def cut_in_mid_transfer(self, source: Path, target: Path) -> None:
        self.network.run_until(lambda: any(path.stat().st_size > 100_000 for path in target.glob(".bittrrt-*")), 20)
        os.truncate(source, 50_000)

    def assert_removed(self, target: Path) -> None:
        self.network.run_for(10)  # as a goodbye may be lost
        self.assertEqual(self.server.sessions, {})
        self.assertEqual(list(target.glob(".bittrrt-*")), [])

    @with_seeds(*range(4000, 4030))
    def test_a_put_removes_what_its_line_says_is_removed(self) -> None:
        self.network.loss = self.network.random.choice((0.0, 0.2))
        source = self.write(self.here)
        told: list[str] = []
        job = self.put("a", limit=LIMIT)
        job.tally.on_problem = lambda error: told.append(str(error))
        done = self.begin(job)
        self.cut_in_mid_transfer(source, self.there)
        self.network.run_until(lambda: done.called, 30)
        self.successResultOf(done)
        self.assertEqual(job.tally.failed, 1)
        self.assertIn("; what had arrived is removed", told[0])
        self.assert_removed(self.there)

    @with_seeds(*range(4100, 4130))
    def test_so_does_a_get(self) -> None:
        self.network.loss = self.network.random.choice((0.0, 0.2))
        source = self.write(self.there)
        job = self.get("a", limit=LIMIT)
        done = self.begin(job)
        self.cut_in_mid_transfer(source, self.here)
        self.network.run_until(lambda: done.called, 30)
        self.successResultOf(done)
        self.assertEqual(list(self.here.iterdir()), [])
        self.assertEqual(job.tally.failed, 1)

    def test_what_cannot_be_read_is_kept(self) -> None:
        self.write(self.here)
        job = self.put("a", limit=LIMIT)
        done = self.begin(job)
        self.network.run_until(lambda: job.tally.moved() > 1_000_000, 20)

        def fail(source: Source, offset: int, length: int) -> bytes:
            raise ReadFailed("a: cannot be read: Input/output error; check that disk")

        patch = self.patch(Source, "read", fail)
        self.network.run_until(lambda: done.called, 20)
        patch.restore()
        self.network.run_for(5)
        again = self.put("a")
        self.run_job(again)
        self.assertGreater(again.tally.resumed, 1_000_000)

    def test_a_session_of_a_program_can_be_closed_as_soon_as_its_put_has_returned(self) -> None:
        serve_sessions(self.server, lambda client: RecordingSession())
        opening = Deferred.fromCoroutine(open_session(self.opener(), RecordingSession(), in_thread=self.in_thread))
        self.network.run_until(lambda: opening.called, 10)
        session: Session = self.successResultOf(opening)
        source = self.write(self.here)
        putting = Deferred.fromCoroutine(session.put([source], limit=LIMIT))
        putting.addCallback(lambda _: Deferred.fromCoroutine(session.close()))
        self.cut_in_mid_transfer(source, self.there)
        self.network.run_until(lambda: putting.called and not self.server.sessions, 20)
        self.assert_removed(self.there)

    def test_a_peer_that_is_gone_holds_nobody_up(self) -> None:
        source = self.write(self.here)
        job = self.put("a", limit=LIMIT)
        done = self.begin(job)
        self.cut_in_mid_transfer(source, self.there)
        self.network.run_until(lambda: job.tally.failed, 5)
        self.network.cut = True
        took = self.network.run_until(lambda: done.called, 60)
        self.successResultOf(done)
        self.assertLess(took, LAST_WORDS + 0.2)

    def test_nor_does_a_session_that_ends_meanwhile(self) -> None:
        source = self.write(self.here)
        job = self.put("a", limit=LIMIT)
        done = self.begin(job)
        self.cut_in_mid_transfer(source, self.there)
        self.network.run_until(lambda: job.tally.failed, 5)
        self.assertFalse(done.called)
        self.server.close()
        took = self.network.run_until(lambda: done.called, 5)
        self.successResultOf(done)
        self.assertLess(took, 0.1)
        self.assertEqual(self.lines, [])
