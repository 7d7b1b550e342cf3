"""The home directory: whole files only, for their owner only, one change at a time."""

from __future__ import annotations

import fcntl
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import SettingsError
from bittrrt.files.home import Home


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def disk_that_takes(size: int) -> Iterator[None]:
    """While it lasts, the kernel refuses to let any file of this process grow past `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class HomeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")

    def test_it_and_its_files_are_for_their_owner_alone(self) -> None:
        before = os.umask(0)
        try:
            self.home.write("a", "text\n")
        finally:
            os.umask(before)
        self.assertEqual(mode_of(self.home.path), 0o700)
        self.assertEqual({mode_of(path) for path in self.home.path.iterdir()}, {0o600})
        self.assertEqual(sorted(os.listdir(self.home.path)), [".lock", "a"])

    def test_what_is_written_is_read(self) -> None:
        self.home.write("a", "one\n")
        self.home.write("a", "two\nÄ")
        self.assertEqual(self.home.read("a"), "two\nÄ")
        self.assertEqual(self.home.read_lines("a"), ["two", "Ä"])

    def test_bytes_that_are_not_utf_8_survive(self) -> None:
        self.home.ensure()
        (self.home.path / "a").write_bytes(b"# caf\xe9\r\n")
        self.home.write_lines("a", [*self.home.read_lines("a"), "b"])
        self.assertEqual((self.home.path / "a").read_bytes(), b"# caf\xe9\r\nb\n")

    def test_only_a_newline_ends_a_line(self) -> None:
        self.home.write("a", "a\u2028b\x0bc\x1ed\n\ne\n")
        self.assertEqual(self.home.read_lines("a"), ["a\u2028b\x0bc\x1ed", "", "e"])

    def test_a_file_that_is_not_there_is_empty(self) -> None:
        self.assertEqual(self.home.read("a"), "")
        self.assertEqual(self.home.read_lines("a"), [])
        self.assertIsNone(self.home.read_secret("a"))
        self.assertIsNone(self.home.signature("a"))
        self.assertFalse(self.home.path.exists())

    def test_what_the_system_refuses_is_one_line_that_names_the_file(self) -> None:
        self.home.ensure()
        (self.home.path / "a").mkdir()
        for verb, call in {
            "read": lambda: self.home.read("a"),
            "write": lambda: self.home.write("a", ""),
        }.items():
            error = str(self.assertRaises(SettingsError, call))
            self.assertEqual(error, f"cannot {verb} {self.home.path}/a: Is a directory")

    def test_a_home_that_cannot_be_made_is_one_line(self) -> None:
        self.home.write("a", "")
        for path in (self.home.path / "a", self.home.path / "a" / "b"):
            for call in (Home(path).ensure, lambda path=path: Home(path).write("c", "")):
                error = str(self.assertRaises(SettingsError, call))
                self.assertTrue(error.startswith(f"cannot make the directory {path}: "), error)

    def test_a_home_in_which_others_can_write_is_refused(self) -> None:
        self.home.ensure()
        for mode in (0o720, 0o702, 0o1777):
            self.home.path.chmod(mode)
            error = str(self.assertRaises(SettingsError, self.home.ensure))
            self.assertIn(f"run chmod go-w {self.home.path}", error)
        self.home.path.chmod(0o755)
        self.home.ensure()

    def test_a_secret_that_others_can_read_is_refused(self) -> None:
        self.home.write("key", "secret")
        self.assertEqual(self.home.read_secret("key"), "secret")
        path = self.home.path / "key"
        for mode in (0o640, 0o604, 0o620, 0o601):
            path.chmod(mode)
            error = str(self.assertRaises(SettingsError, self.home.read_secret, "key"))
            self.assertEqual(error, f"{path} is not for its owner alone: run chmod 600 {path}")

    def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(self) -> None:
        self.home.write("a", "old")
        with disk_that_takes(1000):
            error = self.assertRaises(SettingsError, self.home.write, "a", "new" * 1000)
        self.assertEqual(str(error), f"cannot write {self.home.path}/a: File too large")
        self.assertEqual(self.home.read("a"), "old")
        self.assertEqual(sorted(os.listdir(self.home.path)), [".lock", "a"])

    def test_what_is_written_together_is_there_at_the_end_or_not_at_all(self) -> None:
        self.home.write("a", "old")
        with self.home.together():
            self.home.write("a", "new")
            self.home.write("b", "new")
            self.assertEqual([self.home.read(name) for name in "ab"], ["old", ""])
        self.assertEqual([self.home.read(name) for name in "ab"], ["new", "new"])
        with disk_that_takes(1000), self.assertRaises(SettingsError), self.home.together():
            self.home.write("a", "newer")
            self.home.write("b", "newer" * 1000)
        self.assertEqual([self.home.read(name) for name in "ab"], ["new", "new"])
        self.assertEqual(sorted(os.listdir(self.home.path)), [".lock", "a", "b"])

    def test_changes_together_are_not_nested(self) -> None:
        with self.home.together(), self.assertRaises(ValueError), self.home.together():
            self.fail("it was")

    def test_what_a_cut_power_left_behind_is_in_nobodys_way(self) -> None:
        self.home.ensure()
        left = self.home.path / ".a.new"
        left.symlink_to("elsewhere")
        self.home.write("a", "new")
        self.assertEqual(self.home.read("a"), "new")
        self.assertFalse(left.is_symlink())
        self.assertFalse((self.home.path / "elsewhere").exists())

    def test_the_signature_is_another_one_after_every_change(self) -> None:
        self.home.write("a", "1")
        first = self.home.signature("a")
        self.assertEqual(self.home.signature("a"), first)
        self.home.write("a", "2")
        self.assertNotEqual(self.home.signature("a"), first)

    def test_the_lock_keeps_another_home_object_out_and_may_be_nested(self) -> None:
        with self.home.locked():
            with self.home.locked():
                self.home.write("a", "")
            with (self.home.path / ".lock").open() as other:
                self.assertRaises(BlockingIOError, fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with (self.home.path / ".lock").open() as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_an_error_inside_lets_the_lock_go(self) -> None:
        with self.assertRaises(RuntimeError), self.home.locked():
            raise RuntimeError
        with (self.home.path / ".lock").open() as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_a_lock_that_is_a_link_to_elsewhere_is_not_followed(self) -> None:
        self.home.ensure()
        (self.home.path / ".lock").symlink_to("elsewhere")
        error = str(self.assertRaises(SettingsError, self.home.write, "a", ""))
        self.assertTrue(error.startswith(f"cannot lock {self.home.path}/.lock: "), error)

    def test_changes_from_several_threads_and_homes_are_all_kept(self) -> None:
        homes = [self.home, self.home, Home(self.home.path), Home(self.home.path)]

        def add_lines(number: int) -> None:
            for count in range(10):
                with homes[number].locked():
                    lines = homes[number].read_lines("a")
                    homes[number].write_lines("a", [*lines, f"{number} {count}"])

        threads = [threading.Thread(target=add_lines, args=(number,)) for number in range(len(homes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(self.home.read_lines("a"))), 40)


class GiveToTests(SynchronousTestCase):
    nobody = 65534

    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.home.write("a", "")

    def owners(self) -> dict[str, tuple[int, int]]:
        paths = {path.name: path.lstat() for path in (self.home.path, *self.home.path.iterdir())}
        return {name: (status.st_uid, status.st_gid) for name, status in paths.items()}

    def test_giving_it_to_its_owner_changes_nothing(self) -> None:
        before = self.owners()
        self.home.give_to(os.getuid(), os.getgid())
        self.assertEqual(self.owners(), before)

    def test_a_home_that_is_not_there_is_one_line(self) -> None:
        home = Home(self.home.path / "b")
        error = str(self.assertRaises(SettingsError, home.give_to, 1, 1))
        self.assertEqual(error, f"cannot give to user 1 {home.path}: No such file or directory")

    @skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_the_directory_and_its_files_change_hands(self) -> None:
        self.home.give_to(self.nobody, self.nobody)
        self.assertEqual(set(self.owners().values()), {(self.nobody, self.nobody)})

    @skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_what_root_writes_later_belongs_to_the_new_owner(self) -> None:
        (self.home.path / ".lock").unlink()
        self.home.give_to(self.nobody, self.nobody)
        self.home.write("b", "")
        self.assertEqual(set(self.owners().values()), {(self.nobody, self.nobody)})

    @skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_other_names_of_files_elsewhere_are_not_given_away(self) -> None:
        elsewhere = Path(self.enterContext(TemporaryDirectory())) / "home"
        elsewhere.write_text("")
        (self.home.path / "hard").hardlink_to(elsewhere)
        (self.home.path / "soft").symlink_to(elsewhere.resolve())
        (self.home.path / "directory").mkdir()
        os.mkfifo(self.home.path / "fifo")
        self.home.give_to(self.nobody, self.nobody)
        self.assertEqual(elsewhere.stat().st_uid, 0)
        owners = self.owners()
        self.assertEqual([owners[name][0] for name in ("a", "hard", "soft", "directory", "fifo")], [65534, 0, 0, 0, 0])
