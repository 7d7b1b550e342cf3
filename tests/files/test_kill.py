"""SIGKILL and power cuts, before every call that changes the disk: the file is whole at the end, and nothing safe is
written again."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable

from blake3 import blake3

from bittrrt.files.extents import Extents
from bittrrt.files.partial import Overwrite
from bittrrt.files.root import Place
from bittrrt.files.sink import Sink
from bittrrt.files.version import FileVersion

from .breaking_disk import BreakingDisk, DiskTestCase, UnsyncedDisk

SIZE = 200_000
CHUNK = 7_000
CONTENT = random.Random(1).randbytes(SIZE)
DIGEST = blake3(CONTENT).digest()
VERSION = FileVersion(SIZE, 1_600_000_000_000_000_000, 0o444, bytes(16))


class KilledTests(DiskTestCase):
    """A child receives a file and dies at the chosen call; the parent goes on from what is left on the disk."""

    def sink(self, disk: BreakingDisk, overwrite: Overwrite) -> Sink:
        goal = self.folder / "goal" / "file"
        return Sink(Place(os.open(goal.parent, os.O_RDONLY), b"file", "file"), VERSION, overwrite=overwrite, disk=disk)

    def receive(self, sink: Sink, chooser: random.Random, durable: Callable[[Extents], None]) -> None:
        """Write what is missing in a random order, with checkpoints, and finish."""
        missing = sink.get_written().holes(0, SIZE - 1)
        spans = [(at, min(at + CHUNK, last + 1)) for first, last in missing for at in range(first, last + 1, CHUNK)]
        if chooser.random() < 0.7:
            chooser.shuffle(spans)
        for number, (begin, end) in enumerate(spans):
            middle = chooser.randint(begin, end)
            sink.write(begin, [CONTENT[begin:middle], memoryview(CONTENT)[middle:end]])
            if number % 8 == 7:
                sink.checkpoint()
                durable(sink.get_durable())
                sink.catch_up()
        sink.finish(DIGEST)

    def die_in_child(self, seed: int, stop_at: int, overwrite: Overwrite, power: bool) -> tuple[bool, Extents]:
        """Whether the child was killed before it was through, and what it had been told to be durable."""
        readable, writable = os.pipe()
        child = os.fork()
        if not child:
            chooser = random.Random(seed)

            def at(number: int) -> None:
                if number == stop_at:
                    if isinstance(disk, UnsyncedDisk):
                        disk.cut_power(chooser)
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                disk = UnsyncedDisk(self.folder / "goal", at) if power else BreakingDisk(at)
                with os.fdopen(writable, "wb", buffering=0) as told:

                    def tell(extents: Extents) -> None:
                        data = extents.to_binary()
                        told.write(len(data).to_bytes(4, "big") + data)

                    self.receive(self.sink(disk, overwrite), chooser, tell)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(writable)
        with os.fdopen(readable, "rb") as heard:
            last = b""
            while head := heard.read(4):
                last = heard.read(int.from_bytes(head, "big"))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            self.assertEqual(os.WTERMSIG(status), signal.SIGKILL)
            return True, Extents.from_binary(last)
        self.assertEqual(os.WEXITSTATUS(status), 0, f"the child failed: {seed=} {stop_at=}")
        return False, Extents.from_binary(last)

    def go_on(self, seed: int, overwrite: Overwrite, durable: Extents) -> None:
        goal = self.folder / "goal" / "file"
        if goal.exists() and goal.read_bytes() == CONTENT:
            return
        disk = BreakingDisk()
        sink = self.sink(disk, overwrite)
        resumed = sink.get_written()
        for first, last in durable.get_spans():
            self.assertEqual(resumed.holes(first, last), [], f"what was durable is lost: {seed=}")
        inode = sink._partial.inode
        self.receive(sink, random.Random(seed), lambda extents: None)
        self.assertEqual(goal.read_bytes(), CONTENT)
        for written_inode, first, last in disk.writes:
            if written_inode == inode:
                self.assertEqual(resumed.holes(first, last), [(first, last)], f"what was safe came again: {seed=}")

    def try_every_call(self, overwrite: Overwrite, power: bool) -> int:
        """Die once before every call; returns how many there are."""
        stop_at = 0
        killed = True
        while killed:
            stop_at += 1
            shutil.rmtree(self.folder)
            (self.folder / "goal").mkdir(parents=True)
            if overwrite is Overwrite.REPLACE:
                (self.folder / "goal" / "file").write_bytes(b"before")
            killed, durable = self.die_in_child(stop_at, stop_at, overwrite, power)
            if overwrite is Overwrite.REPLACE:
                self.assertIn((self.folder / "goal" / "file").read_bytes(), (b"before", CONTENT))
            self.go_on(stop_at, overwrite, durable)
            self.assertEqual((self.folder / "goal" / "file").read_bytes(), CONTENT)
            self.assertEqual((self.folder / "goal" / "file").stat().st_mode & 0o777, 0o444)
        return stop_at

    def test_a_kill_at_any_call_loses_nothing_that_was_durable(self) -> None:
        self.assertGreater(self.try_every_call(Overwrite.REFUSE, power=False), 40)

    def test_a_kill_at_any_call_leaves_the_replaced_file_or_the_new_one(self) -> None:
        self.assertGreater(self.try_every_call(Overwrite.REPLACE, power=False), 40)

    def test_a_power_cut_at_any_call_loses_nothing_that_was_durable(self) -> None:
        self.assertGreater(self.try_every_call(Overwrite.REFUSE, power=True), 40)

    def test_a_power_cut_at_any_call_leaves_the_replaced_file_or_the_new_one(self) -> None:
        self.assertGreater(self.try_every_call(Overwrite.REPLACE, power=True), 40)

    def test_many_kills_in_a_row_still_end_with_the_file(self) -> None:
        (self.folder / "goal").mkdir()
        chooser = random.Random(7)
        for seed in range(30):
            killed, durable = self.die_in_child(seed, chooser.randint(1, 25), Overwrite.REFUSE, seed % 2 == 0)
            if not killed:
                break
            if not (self.folder / "goal" / "file").exists():
                sink = self.sink(BreakingDisk(), Overwrite.REFUSE)
                resumed = sink.get_written()
                self.assertTrue(all(not resumed.holes(*span) for span in durable.get_spans()))
                sink.keep()
        self.go_on(99, Overwrite.REFUSE, Extents())
        self.assertEqual((self.folder / "goal" / "file").read_bytes(), CONTENT)
