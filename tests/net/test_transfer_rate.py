"""`--limit` holds for a whole transfer, in both directions and however many files it has."""

from __future__ import annotations

from pathlib import Path
from random import Random

from .simulated_transfers import SimulatedTransfersTestCase

LIMIT = 250_000.0  # bytes a second
SIZE = 500_000  # bytes in all, of one large file or of many


def write_files(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}").write_bytes(Random(number).randbytes(SIZE // count))


class LimitTests(SimulatedTransfersTestCase):
    def assert_at_the_limit(self, seconds: float) -> None:
        """No faster than the limit, headers and offers included, and not much slower: the opening takes a while."""
        self.assertGreater(seconds, SIZE / LIMIT)
        self.assertLess(seconds, 1.25 * SIZE / LIMIT + 0.5)

    def test_one_large_file_keeps_to_it_both_ways(self) -> None:
        write_files(self.here / "large", 1)
        self.assert_at_the_limit(self.run_job(self.put("large", limit=LIMIT)))
        write_files(self.there / "big", 1)
        self.assert_at_the_limit(self.run_job(self.get("big", limit=LIMIT)))

    def test_many_small_files_together_keep_to_it_both_ways(self) -> None:
        write_files(self.here / "many", 125)
        self.assert_at_the_limit(self.run_job(self.put("many", limit=LIMIT)))
        self.assertEqual(len(list((self.there / "many").iterdir())), 125)
        write_files(self.there / "lots", 125)
        self.assert_at_the_limit(self.run_job(self.get("lots", limit=LIMIT)))
        self.assertEqual(len(list((self.here / "lots").iterdir())), 125)

    def test_files_that_are_named_one_by_one_share_it(self) -> None:
        write_files(self.there / "lots", 25)
        names = [f"lots/{number:03}" for number in range(25)]
        self.assert_at_the_limit(self.run_job(self.get(*names, limit=LIMIT)))
        self.assertEqual(len(list(self.here.iterdir())), 25)

    def test_the_path_decides_without_it(self) -> None:
        write_files(self.here / "many", 125)
        self.assertLess(self.run_job(self.put("many")), 0.5 * SIZE / LIMIT)
