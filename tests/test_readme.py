"""What README.rst promises: its programs run, its options exist, its commands are those of the checks."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from textwrap import dedent

from click import Context
from twisted.trial.unittest import SynchronousTestCase

from bittrrt import CtrlHandler
from bittrrt.app import tap
from bittrrt.app.cli import main
from bittrrt.settings import Settings

CHECKOUT = Path(__file__).parents[1]


class ReadmeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = (CHECKOUT / "README.rst").read_text(encoding="utf-8")

    def test_the_two_commands_stand_alone_on_their_lines(self) -> None:
        venv = r"python3 -m venv \.venv && \.venv/bin/pip install"
        self.assertRegex(self.text, rf"(?m)^    {venv} \. && \.venv/bin/twistd -n bittrrt$")
        tests = re.findall(rf"(?m)^    ({venv} .*twisted\.trial tests)$", self.text)
        self.assertEqual(len(tests), 1, "as .ci/run takes it from here")

    def test_every_option_of_the_server_is_there_with_its_default(self) -> None:
        rows = dict(re.findall(r"(?m)^``--([a-z-]+)`` +(\S+(?: \S+)*)  ", self.text))
        self.assertEqual(set(rows), {name for name, *_ in tap.Options.optParameters} - {"config"})
        settings = Settings()
        for name in ("port", "port_ranges", "heartbeat", "max_sessions_per_key", "port_quarantine", "history_days"):
            self.assertEqual(rows[name.replace("_", "-")], str(getattr(settings, name)))

    def test_every_command_is_there(self) -> None:
        for command in main.list_commands(Context(main)):
            self.assertIn(f"bittrrt {command}", self.text)

    def test_its_programs_are_python_and_the_first_prints_the_heartbeat(self) -> None:
        first, second = [
            dedent(block) for block in re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", self.text)
        ]
        with redirect_stdout(StringIO()) as out:
            exec(compile(first, "README.rst", "exec"), {})
        self.assertRegex(out.getvalue(), r"^client_ts3=\d+ echo=2\n$")
        compile(second, "README.rst", "exec")
        self.assertEqual(CtrlHandler({"heartbeat": 1000}).config.heartbeat, 1000)
