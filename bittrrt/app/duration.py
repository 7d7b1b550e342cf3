"""What people write for a length of time."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """`90s`, `15m`, `1h`, `7d`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        match = re.fullmatch(r"([0-9]{1,9})([smhd])", str(value).strip())
        if match is None or not int(match[1]):
            self.fail(f"{value!r} is no duration, as in 90s, 15m, 1h or 7d", param, ctx)
        return float(int(match[1]) * _UNITS[match[2]])
