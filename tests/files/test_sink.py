"""What becomes of received bytes: written once, resumed after an end, safe by checkpoints."""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
from pathlib import Path

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrrt.errors import (
    DataBeyondEnd,
    DataTooScattered,
    DigestMismatch,
    DiskFull,
    TargetExists,
    TransferBusy,
    WriteFailed,
)
from bittrrt.files import sink as sink_module
from bittrrt.files.sink import CHECKPOINT_INTERVAL, Sink, finish_together

from .breaking_disk import BreakingDisk
from .sinks import CONTENT, DIGEST, JOURNAL, PARTIAL, TIME, SinkTestCase


class WritingTests(SinkTestCase):
    def test_a_file_gets_its_name_its_mode_and_its_time_when_it_is_whole(self) -> None:
        sink = self.sink()
        self.assertEqual(self.names(), [PARTIAL])
        sink.write(0, [CONTENT[:100], memoryview(CONTENT)[100:1000], bytearray(CONTENT[1000:])])
        self.assertTrue(sink.complete)
        sink.finish(DIGEST)
        self.assertEqual(self.names(), ["file"])
        status = (self.folder / "file").stat()
        self.assertEqual((status.st_mode & 0o7777, status.st_mtime_ns), (0o640, TIME))
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)

    def test_an_empty_file_is_a_file(self) -> None:
        sink = self.sink(0)
        self.assertTrue(sink.complete)
        sink.finish(blake3(b"").digest())
        self.assertEqual((self.folder / "file").read_bytes(), b"")

    def test_what_comes_in_order_is_never_read_back_for_the_digest(self) -> None:
        disk = BreakingDisk()
        disk.failing["read"] = OSError(errno.EIO, "")
        sink = self.sink(disk=disk)
        for at in range(0, len(CONTENT), 10_000):
            sink.write(at, [CONTENT[at : at + 10_000]])
            self.assertEqual(sink.behind, 0)
        sink.finish(DIGEST)

    def test_what_comes_after_a_hole_is_read_back_once_the_hole_is_filled(self) -> None:
        sink = self.sink()
        sink.write(10_000, [CONTENT[10_000:]])
        self.assertEqual(sink.behind, 0)
        sink.write(0, [CONTENT[:10_000]])
        self.assertEqual(sink.behind, len(CONTENT) - 10_000)
        self.assertFalse(sink.catch_up())
        self.assertEqual(sink.behind, 0)
        sink.finish(DIGEST)

    def test_catching_up_is_done_by_bounded_steps(self) -> None:
        self.patch(sink_module, "CATCH_UP", 100_000)
        sink = self.sink()
        sink.write(1, [CONTENT[1:]])
        sink.write(0, [CONTENT[:1]])
        self.assertEqual([sink.catch_up() for _ in range(3)], [True, True, False])

    def test_more_chunks_than_the_kernel_takes_at_once_are_written_whole(self) -> None:
        sink = self.sink()
        sink.write(0, [CONTENT[at : at + 100] for at in range(0, len(CONTENT), 100)])
        sink.finish(DIGEST)

    @given(st.integers(0, 2**32))
    @settings(max_examples=25, deadline=None)
    def test_any_order_and_overlap_gives_the_file_and_writes_each_byte_once(self, seed: int) -> None:
        chooser = random.Random(seed)
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        disk = BreakingDisk()
        sink = self.sink(3000, disk=disk)
        content = CONTENT[:3000]
        new = 0
        while not sink.complete:
            first = chooser.randrange(3000)
            last = min(2999, first + chooser.randrange(600))
            new += sink.write(first, [content[first : last + 1]])
            if chooser.random() < 0.1:
                sink.checkpoint()
            if chooser.random() < 0.1:
                sink.catch_up()
        self.assertEqual(new, 3000)
        partial = sink._partial.inode
        self.assertEqual(sum(last + 1 - first for inode, first, last in disk.writes if inode == partial), 3000)
        sink.finish(blake3(content).digest())
        self.assertEqual((self.folder / "file").read_bytes(), content)

    def test_a_byte_that_was_written_cannot_be_changed_by_sending_it_again(self) -> None:
        sink = self.sink()
        sink.write(0, [CONTENT])
        self.assertEqual(sink.write(5, [b"hostile"]), 0)
        sink.finish(DIGEST)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)

    def test_offsets_beyond_the_size_are_rejected_and_nothing_is_written(self) -> None:
        disk = BreakingDisk()
        sink = self.sink(disk=disk)
        for offset, data in ((-1, b"a"), (len(CONTENT), b"a"), (2**64, b"a"), (len(CONTENT) - 1, b"ab")):
            self.assertRaises(DataBeyondEnd, sink.write, offset, [data])
        self.assertEqual(sink.write(len(CONTENT), [b""]), 0)
        self.assertEqual(disk.writes, [])

    def test_the_number_of_holes_has_a_bound(self) -> None:
        self.patch(sink_module, "MAX_SPANS", 50)
        sink = self.sink()
        for at in range(0, 100, 2):
            sink.write(at, [CONTENT[at : at + 1]])
        self.assertRaises(DataTooScattered, sink.write, 100, [CONTENT[100:101]])
        sink.write(99, [CONTENT[99:101]])
        sink.write(1, [CONTENT[1:2]])
        self.assertEqual(sink.written_bytes, 53)

    def test_a_digest_that_does_not_agree_removes_everything(self) -> None:
        sink = self.sink()
        sink.write(0, [CONTENT])
        sink.checkpoint()
        with self.assertRaises(DigestMismatch) as caught:
            sink.finish(bytes(32))
        self.assert_one_line(caught.exception, "file: ", "removed")
        self.assertEqual(self.names(), [])

    def test_only_a_complete_open_file_can_be_finished(self) -> None:
        sink = self.sink()
        self.assertRaises(ValueError, sink.finish, DIGEST)
        sink.abort()
        self.assertRaises(ValueError, sink.finish, DIGEST)
        self.assertRaises(ValueError, sink.write, 0, [CONTENT])
        self.assertEqual(sink.keep(), 0)
        sink.checkpoint()
        self.assertFalse(sink.catch_up())

    def test_many_small_files_share_the_sync_of_their_folder(self) -> None:
        disk = BreakingDisk()
        sinks = [self.sink(10, leaf=f"small{number}", disk=disk) for number in range(20)]
        for sink in sinks:
            sink.write(0, [CONTENT[:10]])
        (self.folder / "small3").write_bytes(b"in the way")
        digest = blake3(CONTENT[:10]).digest()
        outcomes = finish_together([(sink, bytes(32) if number == 7 else digest) for number, sink in enumerate(sinks)])
        self.assertIsInstance(outcomes[3], TargetExists)
        self.assertIsInstance(outcomes[7], DigestMismatch)
        self.assertEqual(sum(outcome is None for outcome in outcomes), 18)
        self.assertEqual(disk.synced_folders, 1)
        self.assertEqual((self.folder / "small3").read_bytes(), b"in the way")
        self.assertEqual((self.folder / "small19").read_bytes(), CONTENT[:10])

    def test_a_folder_that_cannot_be_synced_is_said_of_each_file(self) -> None:
        disk = BreakingDisk()
        sinks = [self.sink(0, leaf=leaf, disk=disk) for leaf in ("one", "two")]
        settle = sink_module.Sink._settle

        def failing(sink: Sink, *, sync_folder: bool) -> None:
            disk.failing["sync"] = OSError(errno.EIO, "")
            settle(sink, sync_folder=sync_folder)

        self.patch(sink_module.Sink, "_settle", failing)
        for outcome in finish_together([(sink, blake3(b"").digest()) for sink in sinks]):
            assert isinstance(outcome, WriteFailed)
            self.assert_one_line(outcome, "has its name")
        self.assertEqual(self.names(), ["one", "two"])


class ResumeTests(SinkTestCase):
    def interrupted(self) -> None:
        sink = self.sink()
        sink.write(0, [CONTENT[:50_000]])
        sink.write(100_000, [CONTENT[100_000:120_000]])
        self.assertEqual(sink.keep(), 70_000)

    def test_the_next_call_goes_on_where_it_was(self) -> None:
        self.interrupted()
        self.assertEqual(self.names(), sorted([PARTIAL, JOURNAL]))
        self.assertEqual((self.folder / PARTIAL).stat().st_size, 120_000, "what was reserved beyond is given back")
        sink = self.sink()
        self.assertEqual(sink.get_written().get_spans(), [(0, 49_999), (100_000, 119_999)])
        self.assertEqual((sink.written_bytes, sink.durable_bytes), (70_000, 70_000))
        sink.write(0, [CONTENT])
        sink.finish(DIGEST)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)
        self.assertEqual(self.names(), ["file"])

    def test_another_version_of_the_source_starts_anew(self) -> None:
        for other in ({"mtime_ns": TIME + 1}, {"sample": bytes(15) + b"1"}, {"size": len(CONTENT) - 1}):
            self.interrupted()
            sink = self.sink(**other)
            self.assertEqual(sink.written_bytes, 0)
            self.assertEqual(self.names(), [PARTIAL])
            sink.abort()

    def test_another_version_that_died_early_leaves_nothing_that_the_first_would_take_for_its_own(self) -> None:
        self.interrupted()
        other = self.sink(mtime_ns=TIME + 1)
        other.write(0, [bytes(100_000)])
        other._close()  # as a kill does
        self.assertEqual(self.sink().written_bytes, 0)

    def test_a_journal_that_is_corrupt_or_of_another_file_starts_anew(self) -> None:
        def flip(path: Path) -> None:
            data = bytearray(path.read_bytes())
            for at in range(8, len(data), 4096):
                data[at] ^= 1
            path.write_bytes(data)

        def empty(path: Path) -> None:
            path.write_bytes(b"")

        def link(path: Path) -> None:
            path.rename(self.folder / "aside")
            path.symlink_to("aside")

        def other_inode(path: Path) -> None:
            partial = self.folder / PARTIAL
            (self.folder / "copy").write_bytes(partial.read_bytes())
            (self.folder / "copy").rename(partial)

        def cut_partial(path: Path) -> None:
            os.truncate(self.folder / PARTIAL, 110_000)

        for spoil in (flip, empty, link, other_inode, cut_partial):
            self.interrupted()
            spoil(self.folder / JOURNAL)
            sink = self.sink()
            self.assertEqual(sink.written_bytes, 0, spoil.__name__)
            sink.write(0, [CONTENT])
            sink.finish(DIGEST)
            (self.folder / "file").unlink()

    def test_a_journal_without_its_partial_file_is_removed(self) -> None:
        self.interrupted()
        (self.folder / PARTIAL).unlink()
        self.assertEqual(self.sink().written_bytes, 0)
        self.assertEqual(self.names(), [PARTIAL])

    def test_a_partial_file_that_is_not_ours_is_replaced_not_written_to(self) -> None:
        victim = self.folder / "victim"
        victim.write_bytes(b"victim")

        def pipe(path: Path) -> None:
            os.mkfifo(path)

        for make in (lambda path: path.symlink_to(victim), lambda path: os.link(victim, path), pipe):
            make(self.folder / PARTIAL)
            sink = self.sink()
            sink.write(0, [CONTENT])
            sink.finish(DIGEST)
            self.assertEqual(victim.read_bytes(), b"victim")
            (self.folder / "file").unlink()

    def test_a_kill_after_the_last_mode_was_set_still_goes_on(self) -> None:
        self.be_nobody(owning=True)
        self.interrupted()
        (self.folder / PARTIAL).chmod(0o444)
        self.assertEqual(self.sink().written_bytes, 70_000)

    def test_two_transfers_of_one_file_do_not_meet(self) -> None:
        sink = self.sink()
        with self.assertRaises(TransferBusy) as caught:
            self.sink()
        self.assertTrue(caught.exception.retry)
        sink.write(0, [CONTENT])
        sink.finish(DIGEST)

    def test_nothing_is_kept_of_a_transfer_without_bytes(self) -> None:
        self.assertEqual(self.sink().keep(), 0)
        self.assertEqual(self.names(), [])


class CheckpointTests(SinkTestCase):
    def test_a_checkpoint_is_due_an_interval_after_there_is_something_to_save(self) -> None:
        sink = self.sink()
        self.assertFalse(sink.due(10.0))
        sink.write(0, [CONTENT[:10]])
        due = [sink.due(20.0 + CHECKPOINT_INTERVAL * intervals) for intervals in (0, 0.9, 1, 1.1, 2)]
        self.assertEqual(due, [False, False, True, False, True])
        sink.checkpoint()
        self.assertEqual(sink.durable_bytes, 10)
        self.assertFalse(sink.due(30.0))

    def test_a_checkpoint_is_due_at_once_when_much_waits_for_it(self) -> None:
        self.patch(sink_module, "CHECKPOINT_BYTES", 10)
        sink = self.sink()
        sink.write(0, [CONTENT[:9]])
        self.assertFalse(sink.due(10.0))
        sink.write(9, [CONTENT[9:10]])
        self.assertTrue(sink.due(10.0))
        sink.checkpoint()
        sink.write(10, [CONTENT[10:19]])
        self.assertFalse(sink.due(10.0))

    def test_a_large_file_leaves_the_page_cache_as_far_as_it_is_safe_and_in_the_digest(self) -> None:
        dropped: list[int] = []

        class WatchedDisk(BreakingDisk):
            def drop_cached(self, descriptor: int, length: int) -> None:
                dropped.append(length)
                super().drop_cached(descriptor, length)

        sink = self.sink(disk=WatchedDisk())
        sink.write(0, [CONTENT[:1000]])
        sink.checkpoint()
        self.assertEqual(dropped, [], "a small one stays")
        self.patch(sink_module, "CACHED_BYTES", len(CONTENT) - 1)
        sink.write(1000, [CONTENT[1000:5000]])
        sink.write(9000, [CONTENT[9000:]])
        sink.checkpoint()
        self.assertEqual(dropped, [5000])
        sink.write(5000, [CONTENT[5000:9000]])
        sink.checkpoint()
        self.assertEqual(dropped, [5000, 9000], "what is not in the digest yet is read back for it")
        sink.finish(DIGEST)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)

    def test_bytes_written_during_a_checkpoint_wait_for_the_next(self) -> None:
        """The sync waits in its thread until this one has written more, which it can."""
        entered, written = threading.Event(), threading.Event()

        class SlowDisk(BreakingDisk):
            def sync_data(self, descriptor: int) -> None:
                entered.set()
                written.wait(10)
                super().sync_data(descriptor)

        sink = self.sink(disk=SlowDisk())
        sink.write(0, [CONTENT[:100]])
        thread = threading.Thread(target=sink.checkpoint)
        thread.start()
        self.assertTrue(entered.wait(10))
        sink.write(100, [CONTENT[100:300]])
        self.assertFalse(sink.due(1e9), "one is under way")
        written.set()
        thread.join()
        self.assertEqual(sink.get_durable().get_spans(), [(0, 99)])
        sink.checkpoint()
        self.assertEqual(sink.get_durable().get_spans(), [(0, 299)])

    def test_threads_that_write_check_and_catch_up_give_the_file(self) -> None:
        sink = self.sink()
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                sink.checkpoint()
                sink.catch_up()

        thread = threading.Thread(target=work)
        thread.start()
        spans = list(range(0, len(CONTENT), 1000))
        for begin in range(0, len(spans), 8):  # reordered a little, as on a path with jitter
            for at in reversed(spans[begin : begin + 8]):
                sink.write(at, [CONTENT[at : at + 1000]])
        done.set()
        thread.join()
        sink.finish(DIGEST)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)

    def test_a_failed_sync_is_never_followed_by_a_claim(self) -> None:
        disk = BreakingDisk()
        sink = self.sink(disk=disk)
        sink.write(0, [CONTENT[:1000]])
        sink.checkpoint()
        sink.write(1000, [CONTENT[1000:]])
        disk.failing["sync_data"] = OSError(errno.EIO, "")
        with self.assertRaises(WriteFailed) as caught:
            sink.checkpoint()
        self.assert_one_line(caught.exception, "Input/output error", "kept")
        disk.failing.clear()
        self.assertRaises(WriteFailed, sink.checkpoint)
        self.assertRaises(WriteFailed, sink.finish, DIGEST)
        self.assertEqual(sink.keep(), 1000)
        self.assertEqual(self.sink().get_written().get_spans(), [(0, 999)])

    def test_a_journal_that_cannot_be_written_leaves_the_one_before(self) -> None:
        disk = BreakingDisk()
        sink = self.sink(disk=disk)
        sink.write(0, [CONTENT[:1000]])
        sink.checkpoint()
        sink.write(1000, [CONTENT[1000:2000]])
        disk.failing["write"] = OSError(errno.ENOSPC, "")
        self.assertRaises(DiskFull, sink.checkpoint)
        self.assertEqual(sink.keep(), 1000)
        self.assertEqual(self.sink().get_written().get_spans(), [(0, 999)])
