"""Calls that are repeated for good: what one of them raises is logged, and ends nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger


def keep_looping(
    looping: LoopingCall, interval: float, log: Logger, what: str, wanted: Callable[[], bool], *, now: bool = True
) -> None:
    """Start `looping`, every `interval` seconds; `now`: at once, too.

    An exception ends a `LoopingCall`: it is logged as `what`, and while the call is still `wanted` it goes on.
    """

    def failed(failure: Any) -> None:
        log.failure(what, failure)
        if wanted():
            keep_looping(looping, interval, log, what, wanted, now=False)

    looping.start(interval, now=now).addErrback(failed)
