"""Prometheus' own checker, for the tests of what is written for Prometheus."""

from __future__ import annotations

import shutil
import subprocess

from twisted.trial.unittest import SkipTest


def promtool(*arguments: str, text: bytes = b"") -> None:
    """Run it, with `text` as its input. Raises `AssertionError` with what it finds, `SkipTest` where it is missing."""
    program = shutil.which("promtool")
    if program is None:
        raise SkipTest("promtool is not installed (Debian's package prometheus has it)")
    done = subprocess.run([program, *arguments], input=text, capture_output=True, timeout=60, check=False)
    if done.returncode or done.stderr:
        raise AssertionError(f"promtool {' '.join(arguments)}:\n{done.stdout.decode()}{done.stderr.decode()}")
