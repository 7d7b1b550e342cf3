"""What docs/library.rst promises: its programs run, each by itself, and say what they did."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).parents[1]
PROGRAM = r"\.\. code-block:: python\n    :caption: (\S+)\n\n((?:    .*\n|\n)+)"


class LibraryTests(SynchronousTestCase):
    def setUp(self) -> None:
        text = (CHECKOUT / "docs" / "library.rst").read_text(encoding="utf-8")
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.programs = re.findall(PROGRAM, text)
        self.assertEqual(len(self.programs), text.count("code-block"))
        for name, program in self.programs:
            (self.folder / name).write_text(dedent(program), encoding="utf-8")

    def run_program(self, name: str) -> str:
        """What it prints."""
        paths = os.pathsep.join([str(self.folder), str(CHECKOUT)])
        environment = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(self.folder)}
        command = [sys.executable, name]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_every_program_is_run_here(self) -> None:
        names = {name for name, _ in self.programs}
        self.assertEqual(names, {"loopback.py", "messages.py", "streams.py", "files.py", "session_files.py"})

    def test_messages_are_exchanged(self) -> None:
        self.assertEqual(self.run_program("messages.py"), "hello, anna\n")

    def test_a_stream_is_copied_to_a_slow_reader(self) -> None:
        self.assertRegex(self.run_program("streams.py"), r"^16777216 bytes copied, with 1\d pauses\n$")

    def test_a_file_is_put_with_progress_and_got_back(self) -> None:
        lines = self.run_program("files.py").splitlines()
        self.assertEqual(lines[-2:], ["5000000 bytes of 5000000 are there", "1 file, 5000000 bytes, 0 failed"])

    def test_files_come_and_go_in_a_session_beside_its_messages(self) -> None:
        lines = self.run_program("session_files.py").splitlines()
        self.assertIn("hello, anna", lines)
        self.assertIn("5000000 bytes of 5000000 are there", lines)
        self.assertEqual(lines[-1], "2 files, 0 failed")
