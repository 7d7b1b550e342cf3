"""The seed's scripts run alone, from anywhere, and show no secret."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bittrrt import CommEncryptor

from . import demo_key_exchange
from .nonce_recorder import recorder

TESTS = Path(__file__).resolve().parent


class ScriptTests(SynchronousTestCase):
    def run_script(self, name: str, *arguments: str, folder: Path = TESTS.parent) -> tuple[int, str]:
        """Exit status and output of a script that finds the package by itself."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        run = subprocess.run(
            [sys.executable, "-B", str(TESTS / name), *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return run.returncode, run.stdout

    def test_the_tests_of_the_seed_run_alone_from_anywhere(self) -> None:
        for name, folder in (("test_heartbeat.py", TESTS.parent), ("test_dh_exchange.py", Path(TESTS.anchor))):
            status, output = self.run_script(name, folder=folder)
            self.assertEqual((status, output.rstrip().rpartition("\n")[2]), (0, "OK"), output)

    def test_a_test_that_fails_shows_in_the_exit_status(self) -> None:
        status, output = self.run_script("test_heartbeat.py", "AnswerTests.test_that_is_not_there")
        self.assertNotEqual(status, 0, output)

    def test_the_demonstration_runs_alone(self) -> None:
        status, output = self.run_script("demo_key_exchange.py", folder=Path(TESTS.anchor))
        self.assertEqual(status, 0, output)
        self.assertIn("client_ts3=1700000000000 echo=2", output)


class DemonstrationTests(SynchronousTestCase):
    def test_it_prints_no_secret(self) -> None:
        ends: list[CommEncryptor] = []
        secrets: list[bytes] = []

        class KeptEncryptor(CommEncryptor):
            __slots__ = ()

            def __init__(self) -> None:
                super().__init__()
                assert self._private_key is not None
                secrets.append(self._private_key.private_bytes_raw())
                ends.append(self)

        self.patch(demo_key_exchange, "CommEncryptor", KeptEncryptor)
        keys_before = set(recorder.last_nonces)
        with redirect_stdout(io.StringIO()) as printed:
            demo_key_exchange.main()
        secrets += [chain._chain for end in ends for chain in (end._send_chain, end._receive_chain)]
        secrets += set(recorder.last_nonces) - keys_before
        self.assertEqual(len(secrets), 2 + 4 + 1)
        for secret in secrets:
            self.assertNotIn(secret.hex(), printed.getvalue())
            self.assertNotIn(repr(secret), printed.getvalue())
