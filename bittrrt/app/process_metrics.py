"""The process itself: memory, processor time, open files, as every program that Prometheus reads tells them."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector


class ProcessMetrics(Collector):
    """`ProcessCollector`'s figures, read ahead: its count of 15,000 open files takes 16 ms, which a thread has to spare
    and the reactor has not."""

    def __init__(self) -> None:
        self._reader = ProcessCollector(registry=None)
        self._read: list[Metric] = []

    def read(self) -> None:
        """Read them now, in any thread."""
        self._read = list(self._reader.collect())

    def collect(self) -> Iterable[Metric]:
        """Those that were read last; nothing before."""
        return self._read
