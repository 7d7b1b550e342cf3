"""The process' own figures, beside those of the library that is too slow for them."""

from __future__ import annotations

import os
from tempfile import TemporaryFile
from types import SimpleNamespace

from prometheus_client import ProcessCollector
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bittrrt.app.process_metrics import ProcessMetrics, open_files


class ProcessTests(SynchronousTestCase):
    def setUp(self) -> None:
        if not os.path.exists("/proc/self/statm"):
            raise SkipTest("this system has no /proc")

    def test_they_are_those_of_the_library(self) -> None:
        expected = {metric.name: metric for metric in ProcessCollector(registry=None).collect()}
        told = {metric.name: metric for metric in ProcessMetrics().collect()}
        self.assertEqual({name: metric.type for name, metric in told.items()}, {n: m.type for n, m in expected.items()})
        for name, metric in told.items():
            ((_, _, ours, *_),), ((_, _, theirs, *_),) = metric.samples, expected[name].samples
            self.assertTrue(abs(ours - theirs) <= 0.05 * theirs + 1.1, f"{name}: {ours}, not {theirs}")

    def test_open_files_are_counted_by_their_number_or_else_one_by_one(self) -> None:
        before = open_files()
        with TemporaryFile():
            self.assertEqual(open_files(), before + 1)
        self.patch(os, "stat", lambda path: SimpleNamespace(st_size=0))
        self.assertIn(open_files() - before, {0, 1})  # listing opens one
