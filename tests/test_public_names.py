"""The package's own names, which are imported when they are asked for, and what a command imports of the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import bittrrt

CHECKOUT = Path(__file__).resolve().parent.parent


def modules_after(statement: str) -> set[str]:
    """What a fresh Python has imported after a statement."""
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


class PublicNameTests(SynchronousTestCase):
    def test_every_public_name_is_there_and_listed(self) -> None:
        for name in bittrrt.__all__:
            value = getattr(bittrrt, name)
            self.assertEqual(value.__name__, name)
            self.assertIs(getattr(bittrrt, name), value)
            self.assertIn(name, dir(bittrrt))

    def test_other_names_are_not(self) -> None:
        with self.assertRaisesRegex(AttributeError, "no attribute 'Sevrer'"):
            _ = bittrrt.Sevrer  # type: ignore[attr-defined]

    def test_a_name_brings_only_its_own_module(self) -> None:
        found = modules_after("from bittrrt import SpanSet")
        self.assertIn("bittrrt.wire.spans", found)
        self.assertNotIn("bittrrt.net", found)


class CommandImportTests(SynchronousTestCase):
    def test_put_imports_neither_the_server_nor_what_draws(self) -> None:
        found = modules_after("import bittrrt.app.put_get")
        self.assertIn("bittrrt.net.session_opener", found)
        for name in ("rich", "bittrrt.net.server", "bittrrt.net.session", "bittrrt.app.ping", "twisted.application"):
            self.assertNotIn(name, found)

    def test_the_list_of_commands_imports_no_network(self) -> None:
        found = modules_after("from bittrrt.app.cli import main; main.list_commands(None)")
        self.assertIn("bittrrt.app.cli", found)
        self.assertNotIn("twisted", found)
