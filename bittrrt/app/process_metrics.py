"""The process itself: memory, processor time, open files, by the names that every program has for them in Prometheus.

The library's `ProcessCollector` lists the open files at every scrape to count them: 16 ms of the reactor's time where
5,000 sessions have 15,000. Since Linux 6.2 that count can be asked for.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_OWN_FILES: Final = "/proc/self/fd"
_OWN_MEMORY: Final = Path("/proc/self/statm")  # pages: virtual, resident ...


class ProcessMetrics(Collector):
    """What the system says of this process; less of it where there is no `/proc`."""

    def __init__(self) -> None:
        of_library = ProcessCollector(registry=None).collect()
        self._start_time = [metric for metric in of_library if metric.name == "process_start_time_seconds"]

    def collect(self) -> Iterator[Metric]:
        """Read it now."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily(
            "process_cpu_seconds_total", "User and system time, in seconds.", usage.ru_utime + usage.ru_stime
        )
        most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield GaugeMetricFamily("process_max_fds", "File descriptors that it may have.", most_files)
        if _OWN_MEMORY.exists():
            virtual, resident = [int(pages) * resource.getpagesize() for pages in _OWN_MEMORY.read_text().split()[:2]]
            yield GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory, in bytes.", virtual)
            yield GaugeMetricFamily("process_resident_memory_bytes", "Memory that it has in use, in bytes.", resident)
            yield GaugeMetricFamily("process_open_fds", "File descriptors that it has.", open_files())
        yield from self._start_time


def open_files() -> int:
    """How many descriptors this process has. Before Linux 6.2 the directory's size is 0, and it has to be listed."""
    return os.stat(_OWN_FILES).st_size or len(os.listdir(_OWN_FILES))
