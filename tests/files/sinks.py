"""A file to receive, and sinks to receive it."""

from __future__ import annotations

import os
import random

from blake3 import blake3

from bittrrt.errors import (
    FileError,
)
from bittrrt.files.partial import Overwrite, partial_names
from bittrrt.files.rights import Quota
from bittrrt.files.root import Place
from bittrrt.files.sink import Sink
from bittrrt.files.version import FileVersion

from .breaking_disk import BreakingDisk, DiskTestCase

CONTENT = random.Random(2).randbytes(300_000)
DIGEST = blake3(CONTENT).digest()
TIME = 1_700_000_000_123_456_789
PARTIAL, JOURNAL = (name.decode() for name in partial_names(b"file"))


class SinkTestCase(DiskTestCase):
    def sink(
        self,
        size: int = len(CONTENT),
        *,
        leaf: str = "file",
        mtime_ns: int = TIME,
        sample: bytes = bytes(16),
        overwrite: Overwrite = Overwrite.REFUSE,
        quota: Quota | None = None,
        disk: BreakingDisk | None = None,
    ) -> Sink:
        place = Place(os.open(self.folder, os.O_RDONLY), leaf.encode(), leaf)
        version = FileVersion(size, mtime_ns, 0o640, sample)
        sink = Sink(place, version, overwrite=overwrite, quota=quota, disk=disk or BreakingDisk())
        self.addCleanup(sink.abort)
        return sink

    def assert_one_line(self, error: FileError, *parts: str) -> None:
        text = str(error)
        self.assertTrue(text.isprintable(), text)
        self.assertNotIn(str(self.folder), text)
        for part in parts:
            self.assertIn(part, text)
