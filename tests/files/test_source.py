"""A file that is sent: its bytes, its digest, and every way in which it may change meanwhile."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrrt.errors import FileMissing, NotAFile, PermissionRefused, ReadFailed, SourceChanged
from bittrrt.files import source as source_module
from bittrrt.files.root import Place
from bittrrt.files.source import Source
from bittrrt.files.version import FileVersion

from .breaking_disk import DiskTestCase

CONTENT = random.Random(3).randbytes(200_000)
DIGEST = blake3(CONTENT).digest()


class SourceTestCase(DiskTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.folder / "file"
        self.path.write_bytes(CONTENT)
        os.utime(self.path, ns=(0, 1_600_000_000_000_000_000))

    def source(self) -> Source:
        source = Source(Place.of_path(self.path))
        self.addCleanup(source.close)
        return source


class SourceTests(SourceTestCase):
    def test_reads_where_it_is_asked_and_no_further_than_the_size_at_its_opening(self) -> None:
        source = self.source()
        self.assertEqual(source.size, len(CONTENT))
        self.assertEqual(source.read(1000, 500), CONTENT[1000:1500])
        self.assertEqual(source.read(len(CONTENT) - 5, 500), CONTENT[-5:])
        self.assertEqual(source.read(len(CONTENT), 500), b"")

    def test_reading_in_order_takes_the_digest_without_reading_twice(self) -> None:
        source = self.source()
        for at in range(0, len(CONTENT), 7000):
            source.read(at, 7000)
            source.read(max(0, at - 9000), 7000)  # sent again
        self.assertEqual(source.behind, 0)
        self.patch(source_module.Source, "_read", None)
        self.assertEqual(source.digest(), DIGEST)

    def test_what_the_receiver_has_already_is_read_for_the_digest_alone(self) -> None:
        source = self.source()
        source.read(150_000, 50_000)
        self.assertEqual(source.behind, len(CONTENT))
        self.assertFalse(source.catch_up())
        self.assertEqual(source.digest(), DIGEST)

    @given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(1, 90_000)), max_size=12))
    @settings(max_examples=40, deadline=None)
    def test_any_order_of_reading_gives_the_same_digest(self, reads: list[tuple[int, int]]) -> None:
        source = Source(Place.of_path(self.path))
        for offset, length in reads:
            self.assertEqual(source.read(offset, length), CONTENT[offset : offset + length])
        self.assertEqual(source.digest(), DIGEST)
        source.close()

    def test_an_empty_file_has_a_digest(self) -> None:
        self.path.write_bytes(b"")
        self.assertEqual(self.source().digest(), blake3(b"").digest())

    def test_what_is_no_file_is_said_and_nothing_is_left_open(self) -> None:
        before = os.listdir("/proc/self/fd")
        os.mkfifo(self.folder / "pipe")
        self.assertRaises(NotAFile, Source, Place.of_path(self.folder / "pipe"))
        self.assertRaises(NotAFile, Source, Place.of_path(self.folder))
        folder = os.open(self.folder, os.O_RDONLY)
        self.assertRaises(FileMissing, Source, Place(folder, b"nothing", "nothing"))
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))

    def test_a_file_that_the_system_makes_up_is_refused(self) -> None:
        for path in ("/proc/self/status", "/sys/kernel/fscaps", "/proc/self/mountinfo"):
            if Path(path).exists():
                error = self.assertRaises(NotAFile, Source, Place.of_path(Path(path)))
                self.assertIn(f"{path}: the system makes it up as it is read; copy it to a file", str(error))

    def test_a_file_that_the_system_cannot_read_is_said(self) -> None:
        error = self.assertRaises(ReadFailed, Source, Place.of_path(Path("/proc/self/mem")))
        self.assertEqual(str(error), "/proc/self/mem: cannot be read: Input/output error; check that disk")

    def test_a_file_that_may_not_be_read_is_said(self) -> None:
        self.path.chmod(0)
        self.be_nobody()
        self.assertRaises(PermissionRefused, Source, Place.of_path(self.path))


class ChangeTests(SourceTestCase):
    def assert_changed(self, source: Source, how: str) -> None:
        with self.assertRaises(SourceChanged) as caught:
            source.digest()
        self.assertIn(how, str(caught.exception))
        self.assertIn("send it again", str(caught.exception))

    def test_a_file_cut_while_it_is_sent_is_noticed_by_the_read(self) -> None:
        source = self.source()
        os.truncate(self.path, 100_000)
        self.assertEqual(source.read(0, 1000), CONTENT[:1000])
        with self.assertRaises(SourceChanged) as caught:
            source.read(99_000, 2000)
        self.assertIn("cut from 200000 to 100000 bytes", str(caught.exception))

    def test_a_file_rewritten_in_place_is_noticed_at_the_end(self) -> None:
        source = self.source()
        with open(self.path, "r+b") as file:
            file.write(b"other")
        self.assert_changed(source, "was changed")

    def test_a_file_that_grew_is_noticed_at_the_end(self) -> None:
        source = self.source()
        with open(self.path, "ab") as file:
            file.write(b"more")
        self.assertEqual(source.read(len(CONTENT) - 1, 100), CONTENT[-1:])
        self.assert_changed(source, "was changed")

    def test_a_file_replaced_by_another_is_noticed_at_the_end(self) -> None:
        source = self.source()
        (self.folder / "new").write_bytes(CONTENT)
        (self.folder / "new").rename(self.path)
        self.assert_changed(source, "was replaced")

    def test_a_file_whose_name_is_gone_is_still_whole(self) -> None:
        source = self.source()
        self.path.unlink()
        self.assertEqual(source.digest(), DIGEST)

    def test_a_disk_that_cannot_be_read_is_said_in_one_line(self) -> None:
        source = self.source()

        def pread(descriptor: int, length: int, offset: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        self.patch(os, "pread", pread)
        with self.assertRaises(ReadFailed) as caught:
            source.read(0, 10)
        self.assertEqual(str(caught.exception), f"{self.path}: cannot be read: Input/output error; check that disk")


class VersionTests(SourceTestCase):
    def identity(self, leaf: bytes = b"file") -> bytes:
        source = self.source()
        source.close()
        return source.version.identity(leaf)

    def test_a_copy_with_the_same_time_is_the_same_version(self) -> None:
        before = self.identity()
        (self.folder / "copy").write_bytes(CONTENT)
        os.utime(self.folder / "copy", ns=(0, 1_600_000_000_000_000_000))
        (self.folder / "copy").rename(self.path)
        self.path.chmod(0o600)
        self.assertEqual(self.identity(), before)

    def test_another_time_size_or_end_is_another_version_whatever_the_rest(self) -> None:
        seen = {self.identity(), self.identity(b"other")}
        for content in (CONTENT[:-1], CONTENT + b"x", b"x" + CONTENT[1:], CONTENT[:-1] + b"x"):
            self.path.write_bytes(content)
            os.utime(self.path, ns=(0, 1_600_000_000_000_000_000))
            seen.add(self.identity())
        os.utime(self.path, ns=(0, 1_600_000_000_000_000_001))
        seen.add(self.identity())
        self.assertEqual(len(seen), 7)

    def test_numbers_that_do_not_fit_are_errors(self) -> None:
        good = (10, 0, 0o644, bytes(16))
        FileVersion(*good)
        for at, bad in ((0, -1), (0, 2**63), (1, 2**63), (1, -(2**63)), (2, 0o4755), (2, -1), (3, bytes(15))):
            values = [*good[:at], bad, *good[at + 1 :]]
            self.assertRaises(ValueError, FileVersion, *values)
