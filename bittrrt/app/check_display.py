"""How a check is shown: a line a step, live on a terminal, or JSON."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Final, TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from .check_verdicts import Finding, Verdict
from .output import Output

_STYLES: Final[dict[Verdict, str]] = {"ok": "green", "warning": "yellow", "bad": "bold red", "not tried": "dim"}
_VERDICT_WIDTH: Final = 11
_STEP_WIDTH: Final = 15


class Style(Enum):
    """To whom it is shown."""

    PEOPLE = "people"
    JSON = "json"


class CheckDisplay(Output):
    """Shows one check. Nothing that a server says is taken for markup."""

    def __init__(self, style: Style, where: str, out: TextIO | None = None) -> None:
        """`where`: the server, HOST:PORT."""
        super().__init__(out)
        self._style = style
        self._where = where
        self._console = Console(file=self.file, highlight=False, markup=False)
        self._spinner = Spinner("dots")
        self._live: Live | None = None
        self.findings: list[Finding] = []

    def start(self) -> None:
        """Begin."""
        if self._style is Style.PEOPLE and self._console.is_terminal:
            self._live = Live(self._spinner, console=self._console, transient=True, refresh_per_second=8)
            self._live.start()

    def stop(self) -> None:
        """Say nothing more of what is being done; again does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def now(self, what: str) -> None:
        """What is being done; shown on a terminal until the next."""
        self._spinner.update(text=Text(what))

    def tell(self, finding: Finding) -> None:
        """A step is done."""
        self.findings.append(finding)
        if self._style is Style.JSON:
            self.write_json(**msgspec.to_builtins(finding))
        else:
            self._line(finding.verdict, f"{finding.step:<{_STEP_WIDTH}}{finding.text}")

    def skip(self, steps: Collection[str], why: str) -> None:
        """These steps are not tried, for a reason that they share."""
        if self._style is Style.JSON:
            for step in steps:
                self.tell(Finding(step=step, verdict="not tried", text=why))
        elif steps:
            self._line("not tried", f"{', '.join(steps)}: {why}")

    def _line(self, verdict: Verdict, text: str) -> None:
        if self._console.is_terminal:
            line = Text.assemble((f"{verdict:<{_VERDICT_WIDTH}}", _STYLES[verdict]), text)
            self._console.print(line, soft_wrap=True)
        else:
            self.write(f"{verdict:<{_VERDICT_WIDTH}}{text}\n")

    def summary(self) -> int:
        """The last line; the exit status."""
        bad = [finding.step for finding in self.findings if finding.verdict == "bad"]
        warnings = [finding.step for finding in self.findings if finding.verdict == "warning"]
        verdict = "bad" if bad else "warning" if warnings else "ok"
        if self._style is Style.JSON:
            self.write_json(summary=True, server=self._where, verdict=verdict, bad=bad, warnings=warnings)
        elif bad:
            self.write(f"{self._where}: not well: {', '.join(bad)}\n")
        elif warnings:
            self.write(f"{self._where}: it works; not all is well: {', '.join(warnings)}\n")
        else:
            self.write(f"{self._where}: all is well\n")
        return 1 if bad else 0
