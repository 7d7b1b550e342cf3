"""Names become places inside the root, whatever links are there, or appear while a name is walked."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from unittest import SkipTest

from bittrrt.errors import FileError, FileMissing, NameRefused, NotAFile, PermissionRefused
from bittrrt.files import root as root_module
from bittrrt.files.root import Place, Root

from .breaking_disk import DiskTestCase


class RootTests(DiskTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.inside = self.folder / "root"
        (self.inside / "a" / "b").mkdir(parents=True)
        (self.inside / "a" / "b" / "file").write_text("inside")
        (self.folder / "secret").mkdir()
        (self.folder / "secret" / "file").write_text("secret")
        self.root = Root(self.inside)
        self.addCleanup(self.root.close)

    def read(self, name: str) -> str:
        with self.root.locate_untrusted(name, follow=True) as place:
            descriptor = place.open_file()
            with os.fdopen(descriptor) as file:
                return file.read()

    def test_a_name_becomes_an_open_folder_and_its_last_part(self) -> None:
        with self.root.locate_untrusted("a/b/new") as place:
            self.assertTrue(os.path.samestat(os.fstat(place.folder), (self.inside / "a" / "b").stat()))
            self.assertEqual((place.leaf, place.status()), (b"new", None))
        self.assertEqual(self.read("a/b/file"), "inside")

    def test_links_inside_the_root_are_followed(self) -> None:
        for name, target in (
            ("link", "a/b"),
            ("a/up", "../a/./b/"),
            ("a/b/twice", "../../link"),
            ("here", "."),
            ("a/b/down", "../up/../../a/b"),
        ):
            (self.inside / name).symlink_to(target)
        for name in ("link/file", "a/up/file", "a/b/twice/file", "here/a/b/file", "a/b/down/file"):
            self.assertEqual(self.read(name), "inside", name)
        (self.inside / "file link").symlink_to("link/file")
        self.assertEqual(self.read("file link"), "inside")
        with self.root.locate_folder_untrusted("a/b/twice") as folder:
            self.assertTrue(os.path.samestat(os.fstat(folder.folder), (self.inside / "a" / "b").stat()))
        with self.root.locate_folder_untrusted("here") as folder:
            self.assertTrue(os.path.samestat(os.fstat(folder.folder), self.inside.stat()))

    def test_links_out_of_the_root_are_refused(self) -> None:
        for number, target in enumerate(
            ("..", "../secret", "../../" + self.folder.name + "/secret", str(self.folder / "secret"), "a/../../secret")
        ):
            (self.inside / f"out{number}").symlink_to(target)
            self.assertRaises(NameRefused, self.root.locate_untrusted, f"out{number}/file")
            self.assertRaises(NameRefused, self.root.locate_folder_untrusted, f"out{number}")
        (self.inside / "file out").symlink_to("../secret/file")
        self.assertRaises(NameRefused, self.read, "file out")

    def test_links_in_a_circle_are_refused(self) -> None:
        (self.inside / "one").symlink_to("two")
        (self.inside / "two").symlink_to("one")
        self.assertRaises(NameRefused, self.root.locate_untrusted, "one/file")
        self.assertRaises(NameRefused, self.read, "one")

    def test_a_link_in_last_place_is_not_followed_for_writing(self) -> None:
        (self.inside / "out").symlink_to("../secret/file")
        with self.root.locate_untrusted("out") as place:
            self.assertTrue(os.path.samestat(os.fstat(place.folder), self.inside.stat()))
            self.assertRaises(NotAFile, place.open_file)

    def test_a_link_swapped_in_for_a_folder_is_never_followed_out(self) -> None:
        """Before each step of the walk the folder is replaced by a link to the secret one."""
        step = root_module._Walk._step
        swapped: list[bytes] = []

        def swapping(walk: root_module._Walk, part: bytes) -> None:
            if part == path[-1:].encode():
                (self.inside / path).rename(self.folder / "aside")
                (self.inside / path).symlink_to(self.folder / "secret")
                swapped.append(part)
            step(walk, part)

        for path in ("a", "a/b"):
            self.patch(root_module._Walk, "_step", swapping)
            self.assertRaises(NameRefused, self.root.locate_untrusted, "a/b/file")
            (self.inside / path).unlink()
            (self.folder / "aside").rename(self.inside / path)
        self.assertEqual(swapped, [b"a", b"b"])

    def test_a_folder_swapped_after_its_step_no_longer_matters(self) -> None:
        with self.root.locate_untrusted("a/b/file") as place:
            (self.inside / "a" / "b").rename(self.folder / "aside")
            (self.inside / "a" / "b").symlink_to(self.folder / "secret")
            with os.fdopen(place.open_file()) as file:
                self.assertEqual(file.read(), "inside")

    def test_a_file_swapped_for_a_link_before_it_is_opened_is_refused(self) -> None:
        place = self.root.locate_untrusted("a/b/file")
        self.addCleanup(place.close)
        status = place.status()
        (self.inside / "a" / "b" / "file").unlink()
        (self.inside / "a" / "b" / "file").symlink_to(self.folder / "secret" / "file")
        self.patch(Place, "status", lambda place: status)
        self.assertRaises(NameRefused, place.open_file)

    def test_only_regular_files_are_opened(self) -> None:
        os.mkfifo(self.inside / "pipe")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        here = os.getcwd()
        os.chdir(self.inside)  # names of sockets are short
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        (self.inside / "null").symlink_to("/dev/null")
        for name in ("pipe", "socket", "a"):
            self.assertRaises(NotAFile, self.read, name)
        self.assertRaises(NameRefused, self.read, "null")

    def test_a_pipe_swapped_in_does_not_block(self) -> None:
        place = self.root.locate_untrusted("a/b/file")
        self.addCleanup(place.close)
        status = place.status()
        (self.inside / "a" / "b" / "file").unlink()
        os.mkfifo(self.inside / "a" / "b" / "file")
        self.patch(Place, "status", lambda place: status)
        self.assertRaises(NotAFile, place.open_file)

    def test_what_is_missing_or_no_folder_is_said(self) -> None:
        self.assertRaises(FileMissing, self.root.locate_untrusted, "x/file")
        self.assertRaises(FileMissing, self.read, "a/x")
        self.assertRaises(NotAFile, self.root.locate_untrusted, "a/b/file/x")
        self.assertRaises(NotAFile, self.root.locate_folder_untrusted, "a/b/file")
        self.assertRaises(FileMissing, Root, self.folder / "nowhere")

    def test_folders_are_made_once_and_never_through_a_link_out(self) -> None:
        self.assertTrue(self.root.make_folder_untrusted("a/new"))
        self.assertFalse(self.root.make_folder_untrusted("a/new"))
        self.assertRaises(NotAFile, self.root.make_folder_untrusted, "a/b/file")
        (self.inside / "out").symlink_to("../secret")
        self.assertRaises(NameRefused, self.root.make_folder_untrusted, "out/new")
        self.assertRaises(NameRefused, self.root.make_folder_untrusted, "out")
        self.assertEqual(os.listdir(self.folder / "secret"), ["file"])

    def test_no_descriptor_is_left_open(self) -> None:
        (self.inside / "link").symlink_to("a/../a/b")
        before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
        if before is None:
            raise SkipTest("no /proc")
        for name in ("a/b/file", "link/file", "../x", "x/y", "a/b/file/x", "link/../x"):
            try:
                self.root.locate_untrusted(name, follow=True).close()
            except FileError:
                continue
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_a_folder_that_may_not_be_entered_is_said(self) -> None:
        (self.inside / "a").chmod(0)
        self.be_nobody()
        error = self.assertRaises(PermissionRefused, self.root.locate_untrusted, "a/b/file")
        self.assertEqual(str(error), "a/b/file: no permission to enter a folder on the way to it")
        error = self.assertRaises(PermissionRefused, self.root.locate_folder_untrusted, "a")
        self.assertEqual(str(error), "a: no permission to enter that folder")
        error = self.assertRaises(PermissionRefused, Place.of_path, self.inside / "a" / "b" / "file")
        self.assertIn("no permission to enter a folder on the way to it", str(error))

    def test_a_folder_that_may_only_be_gone_through_is_no_obstacle_to_a_file_in_it(self) -> None:
        (self.folder / "secret").chmod(0o111)
        self.be_nobody()
        with Place.of_path(self.folder / "secret" / "file") as place, os.fdopen(place.open_file()) as file:
            self.assertEqual(file.read(), "secret")

    def test_a_path_of_this_machines_user_is_taken_with_its_links(self) -> None:
        (self.folder / "link").symlink_to(self.folder / "secret" / "file")
        with Place.of_path(self.folder / "link") as place, os.fdopen(place.open_file()) as file:
            self.assertEqual(file.read(), "secret")
        self.assertRaises(FileMissing, Place.of_path, self.folder / "nothing")
