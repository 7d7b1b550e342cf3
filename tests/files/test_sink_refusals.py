"""What a sink refuses: targets, sizes, digests, and disks and quotas that are full."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from unittest import SkipTest

from blake3 import blake3

from bittrrt.errors import (
    DiskFull,
    NotAFile,
    PermissionRefused,
    QuotaReached,
    TargetExists,
    TargetIsFolder,
)
from bittrrt.files.partial import Overwrite
from bittrrt.files.rights import Quota

from .breaking_disk import BreakingDisk
from .sinks import CONTENT, DIGEST, PARTIAL, SinkTestCase


class RefusalTests(SinkTestCase):
    def test_a_file_that_is_there_is_refused_at_the_beginning(self) -> None:
        (self.folder / "file").write_bytes(b"before")
        with self.assertRaises(TargetExists) as caught:
            self.sink()
        self.assert_one_line(caught.exception, "--overwrite")
        self.assertEqual(self.names(), ["file"])

    def test_a_file_that_came_meanwhile_is_refused_at_the_end_and_the_bytes_are_kept(self) -> None:
        sink = self.sink()
        sink.write(0, [CONTENT])
        (self.folder / "file").write_bytes(b"other")
        with self.assertRaises(TargetExists) as caught:
            sink.finish(DIGEST)
        self.assert_one_line(caught.exception, "kept")
        self.assertEqual(sink.keep(), len(CONTENT))
        (self.folder / "file").unlink()
        again = self.sink()
        self.assertTrue(again.complete)
        again.finish(DIGEST)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)

    def test_a_file_may_be_replaced_and_is_whole_at_every_moment(self) -> None:
        (self.folder / "file").write_bytes(b"before")
        sink = self.sink(overwrite=Overwrite.REPLACE)
        sink.write(0, [CONTENT])
        self.assertEqual((self.folder / "file").read_bytes(), b"before")
        sink.finish(DIGEST)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)

    def test_a_link_is_replaced_not_written_through(self) -> None:
        (self.folder / "victim").write_bytes(b"victim")
        (self.folder / "file").symlink_to("victim")
        self.assertRaises(TargetExists, self.sink)
        sink = self.sink(overwrite=Overwrite.REPLACE)
        sink.write(0, [CONTENT])
        sink.finish(DIGEST)
        self.assertEqual((self.folder / "victim").read_bytes(), b"victim")
        self.assertFalse((self.folder / "file").is_symlink())

    def test_without_second_names_refusal_still_replaces_nothing(self) -> None:
        disk = BreakingDisk()
        disk.failing["link"] = OSError(errno.EPERM, "")
        sink = self.sink(disk=disk)
        sink.write(0, [CONTENT])
        sink.finish(DIGEST)
        self.assertEqual(self.names(), ["file"])

    def test_folders_and_devices_are_not_replaced(self) -> None:
        (self.folder / "file").mkdir()
        with self.assertRaises(TargetIsFolder) as caught:
            self.sink(overwrite=Overwrite.REPLACE)
        self.assert_one_line(caught.exception, "is a folder")
        (self.folder / "file").rmdir()
        os.mkfifo(self.folder / "file")
        self.assertRaises(NotAFile, self.sink, overwrite=Overwrite.REPLACE)

    def test_a_folder_that_came_meanwhile_is_not_replaced(self) -> None:
        sink = self.sink(overwrite=Overwrite.REPLACE)
        sink.write(0, [CONTENT])
        (self.folder / "file").mkdir()
        with self.assertRaises(TargetIsFolder) as caught:
            sink.finish(DIGEST)
        self.assert_one_line(caught.exception, "kept")

    def test_a_folder_without_permission_is_said(self) -> None:
        self.be_nobody()
        with self.assertRaises(PermissionRefused) as caught:
            if os.stat(self.folder).st_uid == os.geteuid():
                self.folder.chmod(0o500)
            self.sink()
        self.assert_one_line(caught.exception, "no permission")

    def test_names_longer_than_the_file_system_takes_do_not_matter_to_partial_files(self) -> None:
        sink = self.sink(10, leaf="x" * 255)
        sink.write(0, [CONTENT[:10]])
        sink.finish(blake3(CONTENT[:10]).digest())
        self.assertEqual(self.names(), ["x" * 255])


class SpaceTests(SinkTestCase):
    def test_a_full_disk_shows_before_a_byte_is_sent(self) -> None:
        self.mount(1)
        with self.assertRaises(DiskFull) as caught:
            self.sink(3_000_000)
        self.assert_one_line(caught.exception, "disk is full")
        self.assertEqual(self.names(), [])
        sink = self.sink()
        sink.write(0, [CONTENT])
        sink.finish(DIGEST)

    def test_a_disk_that_fills_up_keeps_what_arrived_and_goes_on_later(self) -> None:
        self.mount(1)
        self.patch(BreakingDisk, "allocate", lambda disk, descriptor, size: None)
        content = CONTENT * 3
        sink = self.sink(len(content))
        sink.write(0, [content[:200_000]])
        (self.folder / "other").write_bytes(bytes(750_000))
        with self.assertRaises(DiskFull) as caught:
            sink.write(200_000, [content[200_000:]])
        self.assert_one_line(caught.exception, "disk is full", "kept")
        self.assertEqual(sink.keep(), 200_000)
        (self.folder / "other").unlink()
        again = self.sink(len(content))
        self.assertEqual(again.get_written().get_spans(), [(0, 199_999)])
        again.write(200_000, [content[200_000:]])
        again.finish(blake3(content).digest())
        self.assertEqual((self.folder / "file").read_bytes(), content)

    def test_a_limit_on_the_size_of_files_is_said(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGXFSZ, handler)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limit)
        self.patch(BreakingDisk, "allocate", lambda disk, descriptor, size: None)
        sink = self.sink()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
        sink.write(0, [CONTENT[:90_000]])
        self.assertRaises(DiskFull, sink.write, 90_000, [CONTENT[90_000:]])
        self.assertEqual(sink.written_bytes, 90_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        sink.write(90_000, [CONTENT[90_000:]])
        sink.finish(DIGEST)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)

    def test_an_absurd_size_is_refused_at_once(self) -> None:
        self.assertRaises(DiskFull, self.sink, 2**62)
        self.assertEqual(self.names(), [])

    def test_the_quota_counts_a_file_when_it_is_offered(self) -> None:
        quota = Quota(1_000_000, used=500_000)
        sink = self.sink(300_000, quota=quota)
        self.assertEqual(quota.free, 200_000)
        with self.assertRaises(QuotaReached) as caught:
            self.sink(200_001, leaf="other", quota=quota)
        self.assert_one_line(caught.exception, "200001 bytes", "200000 left")
        self.assertEqual(self.names(), [PARTIAL])
        sink.abort()
        self.assertEqual(quota.free, 500_000)

    def test_the_quota_follows_what_is_kept_gone_on_with_and_replaced(self) -> None:
        (self.folder / "file").write_bytes(bytes(1000))
        quota = Quota(1_000_000, used=1000)
        sink = self.sink(quota=quota, overwrite=Overwrite.REPLACE)
        sink.write(0, [CONTENT[:10_000]])
        sink.keep()
        self.assertEqual(quota.used, 11_000)
        sink = self.sink(quota=quota, overwrite=Overwrite.REPLACE)
        self.assertEqual(quota.used, 301_000)
        sink.write(0, [CONTENT])
        sink.finish(DIGEST)
        self.assertEqual(quota.used, 300_000)

    def test_a_quota_reached_on_going_on_keeps_what_there_is(self) -> None:
        sink = self.sink()
        sink.write(0, [CONTENT[:10_000]])
        sink.keep()
        with self.assertRaises(QuotaReached) as caught:
            self.sink(quota=Quota(20_000, used=10_000))
        self.assert_one_line(caught.exception, "kept")
        self.assertEqual(self.sink().written_bytes, 10_000)

    def mount(self, megabytes: int) -> None:
        """A real, small file system in place of the folder."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(self.folder)]
        if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
            raise SkipTest("needs to mount a file system")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.folder)], check=True)
