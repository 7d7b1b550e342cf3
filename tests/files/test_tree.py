"""Walking folders, measuring them, and making them again elsewhere."""

from __future__ import annotations

import os
import random

from bittrrt.errors import FileMissing, NameRefused, NotAFile
from bittrrt.files import tree as tree_module
from bittrrt.files.partial import partial_names
from bittrrt.files.root import Root
from bittrrt.files.tree import Entry, FolderRoom, Folders, Skipped, measure, walk

from .breaking_disk import DiskTestCase

TIME = 1_500_000_000_000_000_001


class TreeTestCase(DiskTestCase):
    def setUp(self) -> None:
        super().setUp()
        (self.folder / "top").mkdir()
        self.top = self.folder / "top"
        self.root = Root(self.top)
        self.addCleanup(self.root.close)

    def entries(self, **options: int) -> list[Entry]:
        return [found for found in walk(self.root, **options) if isinstance(found, Entry)]  # type: ignore[arg-type]

    def skipped(self) -> dict[str, str]:
        return {found.name: found.reason for found in walk(self.root) if isinstance(found, Skipped)}


class WalkTests(TreeTestCase):
    def test_folders_come_before_what_is_in_them_and_all_in_the_order_of_bytes(self) -> None:
        for name in ("b/y", "b/x/deep", "a", "é", "B", "b.txt"):
            (self.top / name).parent.mkdir(parents=True, exist_ok=True)
            (self.top / name).write_bytes(b"12345")
        (self.top / "empty").mkdir(mode=0o750)
        os.utime(self.top / "empty", ns=(0, TIME))
        entries = self.entries()
        names = ["B", "a", "b", "b/x", "b/x/deep", "b/y", "b.txt", "empty", "é"]
        self.assertEqual([entry.name for entry in entries], names)
        self.assertEqual(entries[7], Entry("empty", True, 0, TIME, 0o750))
        self.assertEqual((entries[0].is_folder, entries[0].size), (False, 5))
        flat = [found.name for found in walk(self.root, recursive=False)]
        self.assertEqual(flat, ["B", "a", "b", "b.txt", "empty", "é"])

    def test_a_folder_of_many_names_is_read_in_windows(self) -> None:
        names = [f"{number:04}" for number in range(700)]
        random.Random(5).shuffle(names)
        for name in names:
            (self.top / name).touch()
        self.patch(tree_module, "LEAST_NAMES_AT_ONCE", 10)
        self.assertEqual([entry.name for entry in self.entries(names_at_once=64)], sorted(names))

    def test_what_cannot_be_sent_is_told_with_its_reason(self) -> None:
        os.close(os.open(os.fsencode(self.top) + b"/caf\xe9", os.O_CREAT))
        (self.top / "out").symlink_to("/etc/passwd")
        os.mkfifo(self.top / "pipe")
        for name in ("a\nb", "nul", "dot."):
            (self.top / name).touch()
        reasons = self.skipped()
        self.assertEqual(reasons.pop("'caf\\udce9'"), "its name is not UTF-8")
        self.assertEqual(reasons.pop("out"), "a symbolic link is not followed")
        self.assertEqual(reasons.pop("pipe"), "it is a device, a pipe or a socket")
        self.assertIn("control", reasons.pop("'a\\nb'"))
        self.assertIn("Windows", reasons.pop("'nul'"))
        self.assertIn("dot", reasons.pop("'dot.'"))
        self.assertEqual(reasons, {})
        self.assertEqual(self.entries(), [])

    def test_hidden_files_of_transfers_are_left_out(self) -> None:
        for name in partial_names(b"file"):
            (self.top / os.fsdecode(name)).touch()
        self.assertEqual(list(walk(self.root)), [])

    def test_what_vanishes_while_it_is_walked_is_left_out(self) -> None:
        for name in ("a", "b", "c"):
            (self.top / name).touch()
        walking = walk(self.root)
        next(walking)
        (self.top / "b").unlink()
        self.assertEqual([found.name for found in walking], ["c"])

    def test_a_folder_that_may_not_be_read_is_told_and_the_walk_goes_on(self) -> None:
        (self.top / "closed").mkdir(mode=0)
        (self.top / "open").touch()
        self.be_nobody()
        found = list(walk(self.root))
        self.assertEqual([one.name for one in found], ["closed", "closed", "open"])
        self.assertIsInstance(found[1], Skipped)

    def test_a_walk_that_is_given_up_leaves_nothing_open(self) -> None:
        (self.top / "a" / "b" / "c").mkdir(parents=True)
        before = len(os.listdir("/proc/self/fd"))
        walking = walk(self.root)
        next(walking), next(walking), next(walking)
        walking.close()  # type: ignore[attr-defined]
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_a_folder_is_measured_with_partial_files_and_without_journals(self) -> None:
        partial, journal = (os.fsdecode(name) for name in partial_names(b"file"))
        (self.top / "a" / "b").mkdir(parents=True)
        for name, size in (("x", 10), ("a/y", 100), ("a/b/z", 1000), (f"a/{partial}", 10_000), (f"a/{journal}", 5)):
            (self.top / name).write_bytes(bytes(size))
        (self.top / "link").symlink_to("x")
        before = len(os.listdir("/proc/self/fd"))
        self.assertEqual(measure(self.root), 11_110)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class FoldersTests(TreeTestCase):
    def state(self, name: str) -> tuple[int, int]:
        status = (self.top / name).stat()
        return status.st_mode & 0o7777, status.st_mtime_ns

    def test_folders_get_their_modes_and_times_when_the_files_in_them_are_there(self) -> None:
        folders = Folders(self.root)
        for number, name in enumerate(("a", "a/b", "a/b/c")):
            folders.make_untrusted(name, 0o500, TIME + number)
        self.assertEqual(self.state("a")[0] & 0o700, 0o700)
        (self.top / "a" / "b" / "file").touch()
        self.assertEqual(folders.settle(), [])
        states = [self.state(name) for name in ("a", "a/b", "a/b/c")]
        self.assertEqual(states, [(0o500, TIME), (0o500, TIME + 1), (0o500, TIME + 2)])
        self.assertEqual(folders.settle(), [])

    def test_a_folder_that_is_there_and_closed_is_opened_for_its_files(self) -> None:
        (self.top / "a").mkdir(mode=0o500)
        folders = Folders(self.root)
        folders.make_untrusted("a", 0o6555, TIME)
        self.assertEqual(self.state("a")[0], 0o700)
        folders.settle()
        self.assertEqual(self.state("a"), (0o555, TIME))

    def test_hostile_and_impossible_folders_are_refused(self) -> None:
        folders = Folders(self.root)
        (self.top / "out").symlink_to("..")
        (self.top / "file").touch()
        self.assertRaises(NameRefused, folders.make_untrusted, "../x", 0o755, 0)
        self.assertRaises(NameRefused, folders.make_untrusted, "out/x", 0o755, 0)
        self.assertRaises(NameRefused, folders.make_untrusted, "out", 0o755, 0)
        self.assertRaises(NotAFile, folders.make_untrusted, "file", 0o755, 0)
        self.assertRaises(FileMissing, folders.make_untrusted, "a/b", 0o755, 0)

    def test_a_folder_swapped_for_a_link_out_is_not_touched_at_the_end(self) -> None:
        folders = Folders(self.root)
        folders.make_untrusted("a", 0o700, TIME)
        (self.top / "a").rmdir()
        (self.top / "a").symlink_to("..")
        before = self.folder.stat()
        (error,) = folders.settle()
        self.assertIsInstance(error, NameRefused)
        self.assertEqual(
            (before.st_mode, before.st_mtime_ns), (self.folder.stat().st_mode, self.folder.stat().st_mtime_ns)
        )

    def test_the_number_of_folders_that_wait_has_a_bound(self) -> None:
        room = FolderRoom(1300)  # three of them
        folders = Folders(self.root, room)
        for name in ("a", "a/b", "a/b/c", "d", "d/e"):
            folders.make_untrusted(name, 0o755, TIME)
        for name in ("a", "a/b"):
            self.assertEqual(self.state(name), (0o755, TIME))
        other = Folders(self.root, room)
        other.make_untrusted("f", 0o755, TIME)
        self.assertLess(room.left, 300)
        self.assertEqual(other.settle() + folders.settle(), [])
        self.assertEqual(room.left, 1300)
        for name in ("a", "a/b", "a/b/c", "d", "d/e"):
            self.assertEqual(self.state(name), (0o755, TIME))
