"""Putting and getting files, over data planes in memory."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from bittrrt.errors import FileError, ReadFailed
from bittrrt.files.source import Source
from bittrrt.net.transfer_jobs import TransferJob
from tests.net.fake_plane import TransferTestCase


def write(path: Path, data: bytes, mtime_ns: int = 1_600_000_000_123_456_789, mode: int = 0o640) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def tree_of(root: Path) -> dict[str, tuple[object, ...]]:
    """What a transfer keeps of a tree, by name."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = None if path.is_dir() else path.read_bytes()
        found[str(path.relative_to(root))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def make_tree(root: Path) -> None:
    write(root / "a.txt", b"a")
    write(root / "été" / "big", Random(1).randbytes(300_000))
    write(root / "été" / "empty", b"", mode=0o400)
    (root / "bare" / "inner").mkdir(parents=True)
    (root / "bare").chmod(0o500)
    for path in (root / "bare" / "inner", root / "bare", root / "été", root):
        os.utime(path, ns=(1_500_000_000_000_000_001, 1_500_000_000_000_000_001))


class PutTests(TransferTestCase):
    def test_a_file_arrives_with_its_bytes_mode_and_time(self) -> None:
        for size in (0, 1, 65_536, 65_537, 1_000_000):
            source = write(self.here / f"file{size}", Random(size).randbytes(size))
            tally = self.finish(self.put(source.name))
            arrived = self.there / source.name
            self.assertEqual(arrived.read_bytes(), source.read_bytes())
            self.assertEqual(arrived.stat().st_mtime_ns, source.stat().st_mtime_ns)
            self.assertEqual(arrived.stat().st_mode, source.stat().st_mode)
            self.assertEqual((tally.files, tally.size, tally.failed), (1, size, 0))
        self.assertEqual(self.problems, [])

    def test_a_tree_keeps_names_modes_times_and_empty_folders(self) -> None:
        make_tree(self.here / "tree")
        tally = self.finish(self.put("tree"))
        self.assertEqual(self.problems, [])
        self.assertEqual(tree_of(self.there), tree_of(self.here))
        self.assertEqual((tally.files, tally.total_files, tally.total_size), (3, 3, 300_001))

    def test_a_folder_without_r_is_refused(self) -> None:
        (self.here / "tree").mkdir()
        self.finish(self.put("tree", recursive=False))
        self.assertIn("say -r", self.problems[0])

    def test_a_put_into_a_folder_and_one_under_another_name(self) -> None:
        write(self.here / "a", b"1")
        (self.there / "folder").mkdir()
        self.finish(self.put("a", to="folder"))
        self.finish(self.put("a", to="folder/b"))
        self.finish(self.put("a", to="new/"))
        self.assertEqual(sorted(tree_of(self.there)), ["folder", "folder/a", "folder/b", "new", "new/a"])
        self.assertEqual(self.problems, [])

    def test_what_is_there_already_is_skipped_by_size_and_time(self) -> None:
        make_tree(self.here / "tree")
        self.finish(self.put("tree"))
        tally = self.finish(self.put("tree"))
        self.assertEqual((tally.files, tally.skipped, tally.failed), (0, 3, 0))

    def test_another_file_of_that_name_stays_unless_told_to_overwrite(self) -> None:
        write(self.here / "a", b"new")
        write(self.there / "a", b"old", mtime_ns=1)
        tally = self.finish(self.put("a"))
        self.assertEqual(self.problems, ["a: is there already; say --overwrite to replace it"])
        self.assertEqual((tally.failed, (self.there / "a").read_bytes()), (1, b"old"))
        self.finish(self.put("a", overwrite=True))
        self.assertEqual((self.there / "a").read_bytes(), b"new")

    def test_with_checksum_the_same_bytes_are_skipped_whatever_their_time(self) -> None:
        write(self.here / "same", b"x" * 100_000)
        write(self.there / "same", b"x" * 100_000, mtime_ns=1)
        write(self.here / "other", b"x" * 100_000)
        write(self.there / "other", b"y" * 100_000)
        tally = self.finish(self.put("same", "other", checksum=True, overwrite=True))
        self.assertEqual((tally.skipped, tally.files), (1, 1))
        self.assertEqual((self.there / "other").read_bytes(), b"x" * 100_000)

    def test_errors_of_single_files_are_lines_and_the_rest_arrives(self) -> None:
        write(self.here / "good", b"good")
        write(self.here / "taken", b"1")
        (self.there / "taken").mkdir()
        tally = self.finish(self.put("missing", "taken", "good"))
        self.assertEqual(tally.failed, 2)
        self.assertTrue(self.problems[0].endswith("missing: no such file or folder"), self.problems)
        self.assertEqual(self.problems[1], "taken: is a folder at the receiver; choose another name")
        self.assertEqual((self.there / "good").read_bytes(), b"good")

    def test_a_target_that_is_a_file_takes_no_two_files(self) -> None:
        write(self.here / "a", b"1")
        write(self.there / "target", b"1")
        session = self.connect()
        job = self.put("a", "a", to="target")
        job.begin(session.client)
        self.wait_for(lambda: job.finished.called)
        self.assertIn("where a folder has to be", self.failureResultOf(job.finished).getErrorMessage())

    def test_a_source_cut_in_mid_transfer_is_told_and_its_partial_file_removed(self) -> None:
        source = write(self.here / "cut", Random(2).randbytes(3_000_000))
        session = self.connect()
        job = self.put("cut")
        job.begin(session.client)
        self.wait_for(lambda: session.client_plane.bytes_sent > 500_000)
        os.truncate(source, 600_000)
        self.wait_for(lambda: job.finished.called)
        said = (
            "was cut from 3000000 to 600000 bytes while it was being sent; send it again; what had arrived is removed"
        )
        self.assertIn(said, self.problems[0])
        self.clock.pump([0.01] * 100)
        self.assertEqual(os.listdir(self.there), [])

    def test_a_source_that_cannot_be_read_further_is_told_and_its_partial_file_kept(self) -> None:
        write(self.here / "a", Random(2).randbytes(3_000_000))
        session = self.connect()
        job = self.put("a")
        job.begin(session.client)
        self.wait_for(lambda: session.client_plane.bytes_sent > 500_000)

        def fail(source: Source, offset: int, length: int) -> bytes:
            raise ReadFailed("a: cannot be read: Input/output error; check that disk")

        patch = self.patch(Source, "read", fail)
        self.wait_for(lambda: job.finished.called)
        self.assertEqual(
            self.problems, ["a: cannot be read: Input/output error; check that disk; what has arrived is kept"]
        )
        self.clock.pump([0.01] * 100)
        patch.restore()
        tally = self.finish(self.put("a"), session)
        self.assertGreater(tally.resumed, 500_000)
        self.assertEqual(tree_of(self.there), tree_of(self.here))

    def test_a_source_rewritten_in_mid_transfer_gets_no_name(self) -> None:
        source = write(self.here / "changed", Random(3).randbytes(3_000_000))
        session = self.connect()
        job = self.put("changed")
        job.begin(session.client)
        self.wait_for(lambda: session.client_plane.bytes_sent > 500_000)
        source.write_bytes(Random(4).randbytes(3_000_000))
        self.wait_for(lambda: job.finished.called)
        self.assertIn("was changed while it was being sent", self.problems[0])
        self.clock.pump([0.01] * 100)
        self.assertEqual(os.listdir(self.there), [])

    def end_when_told(self, job: TransferJob, source: Path) -> None:
        """Who hears that the file was cut in mid-transfer ends the session from within that call."""
        session = self.connect()
        told: list[FileError] = []

        def end(error: FileError) -> None:
            told.append(error)
            session.client.stop()

        job.tally.on_problem = end
        job.begin(session.client)
        self.wait_for(lambda: job.tally.moved() > 500_000)
        os.truncate(source, 600_000)
        self.wait_for(lambda: bool(told))
        self.clock.pump([0.01] * 100)
        self.assertEqual((len(told), job.tally.failed, session.violations), (1, 1, []))

    def test_who_is_told_that_a_file_was_given_up_may_end_the_session(self) -> None:
        data = Random(5).randbytes(3_000_000)
        self.end_when_told(self.put("up"), write(self.here / "up", data))
        self.end_when_told(self.get("down"), write(self.there / "down", data))

    def test_two_thousand_small_files_take_no_round_trip_each(self) -> None:
        for number in range(2000):
            (self.here / f"d{number % 7}").mkdir(exist_ok=True)
            (self.here / f"d{number % 7}" / f"{number}").write_bytes(b"%d" % number * 1000)
        tally = self.finish(self.put(*[f"d{number}" for number in range(7)]))
        self.assertEqual((tally.files, tally.failed), (2000, 0))
        self.assertEqual(tree_of(self.there), tree_of(self.here))
        self.assertLess(self.clock.seconds(), 4)  # 20 round trips of 100 ms for each 256, and the disk's turns

    def test_the_digest_takes_no_round_trip_of_its_own(self) -> None:
        write(self.here / "file", Random(1).randbytes(100_000))
        self.finish(self.put("file"))
        self.assertLess(self.clock.seconds(), 0.28)  # offer and answer, then bytes and digest, and word that it is done


class ResumeTests(TransferTestCase):
    def test_a_transfer_goes_on_in_the_next_session_where_it_was(self) -> None:
        data = Random(5).randbytes(5_000_000)
        write(self.here / "big", data)
        (self.here / "tree").mkdir()
        for number in range(50):
            write(self.here / "tree" / str(number), b"%d" % number)
        job = self.put("tree", "big")
        session = self.connect()
        job.begin(session.client)
        self.wait_for(lambda: session.client_plane.bytes_sent > 2_500_000)
        self.lose(session, job)
        again = self.connect()
        tally = self.finish(job, again)
        self.assertEqual(self.problems, [])
        self.assertLess(again.client_plane.bytes_sent, 3_500_000)
        self.assertEqual((tally.files, tally.failed), (51, 0))
        self.assertEqual((self.there / "big").read_bytes(), data)
        self.assertEqual(tree_of(self.there), tree_of(self.here))

    def test_a_get_goes_on_in_the_next_session_where_it_was(self) -> None:
        data = Random(6).randbytes(5_000_000)
        write(self.there / "tree" / "big", data)
        write(self.there / "tree" / "a", b"a")
        job = self.get("tree")
        session = self.connect()
        job.begin(session.client)
        self.wait_for(lambda: session.server_plane.bytes_sent > 2_500_000)
        self.lose(session, job)
        again = self.connect()
        tally = self.finish(job, again)
        self.assertEqual(self.problems, [])
        self.assertLess(again.server_plane.bytes_sent, 3_500_000)
        self.assertEqual((tally.files, tally.skipped, tally.failed), (2, 0, 0))
        self.assertEqual(tree_of(self.there), tree_of(self.here))

    def test_a_client_that_comes_back_takes_over_from_its_old_session(self) -> None:
        data = Random(7).randbytes(3_000_000)
        write(self.here / "big", data)
        forgotten = self.connect()
        self.put("big").begin(forgotten.client)
        self.wait_for(lambda: forgotten.client_plane.bytes_sent > 1_500_000)
        forgotten.client_plane.closed = True  # killed; the server has not noticed
        again = self.connect()
        self.finish(self.put("big"), again)
        self.assertLess(again.client_plane.bytes_sent, 2_000_000)
        self.assertIn(("resumed", "big"), self.events)
        self.assertEqual((self.there / "big").read_bytes(), data)

    def test_a_lost_session_does_not_count_what_it_has_not_sent(self) -> None:
        write(self.here / "big", Random(9).randbytes(3_000_000))
        session = self.connect()
        job = self.put("big")
        job.begin(session.client)
        self.wait_for(lambda: job.tally.moved() > 1_000_000)
        reached = job.tally.moved()
        session.client.stop()
        self.clock.pump([STEP_OF_LOSS] * 10)
        self.assertEqual(job.tally.moved(), reached)

    def test_another_client_does_not_take_over(self) -> None:
        write(self.here / "big", Random(8).randbytes(3_000_000))
        first = self.connect()
        job = self.put("big")
        job.begin(first.client)
        self.wait_for(lambda: first.client_plane.bytes_sent > 500_000)
        self.finish(self.put("big"), self.connect("SHA256:another"))
        self.assertIn("another transfer is writing it", self.problems[0])
        self.wait_for(lambda: job.finished.called)
        self.assertEqual(job.tally.files, 1)

    def test_sessions_lost_at_any_moment_cost_nothing_but_time(self) -> None:
        for seed in range(12):
            random = Random(seed)
            make_tree(self.here / f"t{seed}")
            write(self.here / f"t{seed}" / "large", random.randbytes(1_000_000))
            there = random.random() < 0.5
            if there:
                (self.here / f"t{seed}").rename(self.there / f"t{seed}")
            job = self.get(f"t{seed}") if there else self.put(f"t{seed}")
            for _ in range(4):
                session = self.connect()
                job.begin(session.client)
                self.clock.pump([STEP_OF_LOSS] * random.randrange(60))
                if job.finished.called:
                    break
                self.lose(session, job)
            else:
                session = self.connect()
                job.begin(session.client)
            self.wait_for(lambda job=job: job.finished.called)  # type: ignore[misc]
            self.assertEqual((self.problems, tree_of(self.there / f"t{seed}")), ([], tree_of(self.here / f"t{seed}")))


STEP_OF_LOSS = 0.01
