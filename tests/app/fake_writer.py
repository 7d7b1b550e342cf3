"""Where recorders leave what they gathered, in a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bittrrt.app.history_writer import MakeBatch
from bittrrt.files.history import Batch, EventRow, MinuteRow, TransferRow


class FakeWriter:
    """Makes the rows at once, and keeps them."""

    def __init__(self, home: Any, wall: Callable[[], float], say: Any, *, days: int | None) -> None:
        self.days = days
        self.batches: list[Batch] = []
        self.counted: list[int] = []
        self.calls: list[str] = []
        self.pauses = 0

    def start(self) -> None:
        self.calls.append("start")

    def put(self, rows: int, make_batch: MakeBatch) -> None:
        self.counted.append(rows)
        self.batches.append(make_batch(self.paused))

    def paused(self) -> None:
        self.pauses += 1

    def close(self) -> None:
        self.calls.append("close")

    def minutes(self) -> list[MinuteRow]:
        return [row for batch in self.batches for row in batch.minutes]

    def transfers(self) -> list[TransferRow]:
        return [row for batch in self.batches for row in batch.transfers]

    def events(self) -> list[EventRow]:
        return [row for batch in self.batches for row in batch.events]
