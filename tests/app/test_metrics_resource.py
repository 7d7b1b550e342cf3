"""`/metrics` as a resource of a web site: its types, who goes away, and what fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.test.requesthelper import DummyChannel, DummyRequest

from bittrrt.app.metrics import MetricsResource

from .metrics_case import MetricsTestCase


class Threads:
    """A thread that does what it is given when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, work: Callable[[], Any]) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append((work, done))
        return done

    def run(self) -> None:
        for work, done in self.waiting:
            maybeDeferred(work).addBoth(done.callback)


class ResourceTests(MetricsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.threads = Threads()
        self.resource = MetricsResource(self.metrics, self.threads)

    def get(self, accept: str | None = None) -> DummyRequest:
        request = DummyRequest([b""])
        if accept is not None:
            request.requestHeaders.setRawHeaders("accept", [accept])
        self.assertEqual(self.resource.render(request), NOT_DONE_YET)
        return request

    def test_it_tells_prometheus_text_with_the_processs_figures(self) -> None:
        request = self.get()
        self.assertEqual(request.written, [])
        self.threads.run()
        self.assertEqual(request.finished, 1)
        (content_type,) = request.responseHeaders.getRawHeaders("content-type") or [""]
        self.assertTrue(content_type.startswith("text/plain; version=0.0.4"), content_type)
        names = {family.name for family in text_string_to_metric_families(b"".join(request.written).decode())}
        self.assertIn("bittrrt_sessions", names)
        self.assertIn("process_resident_memory_bytes", names)

    def test_who_asks_for_openmetrics_gets_that(self) -> None:
        request = self.get("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        self.threads.run()
        (content_type,) = request.responseHeaders.getRawHeaders("content-type") or [""]
        self.assertTrue(content_type.startswith("application/openmetrics-text; version=1.0.0"), content_type)
        names = {family.name for family in parse_openmetrics(b"".join(request.written).decode())}
        self.assertIn("bittrrt_sessions", names)

    def test_nothing_is_said_to_who_has_gone(self) -> None:
        request = self.get()
        request.processingFailed(Failure(ConnectionDone()))
        self.threads.run()
        self.assertEqual((request.written, request.finished), ([], 0))

    def test_what_fails_is_logged_and_answered(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        self.patch(self.metrics.process, "read", fail)
        request = self.get()
        self.threads.run()
        self.assertEqual((request.responseCode, request.finished), (500, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_site_serves_it(self) -> None:
        root = Resource()
        root.putChild(b"metrics", self.resource)
        channel = DummyChannel()
        channel.site = Site(root)
        request = channel.site.requestFactory(channel, False)
        request.gotLength(0)
        request.requestReceived(b"GET", b"/metrics", b"HTTP/1.1")
        self.threads.run()
        head, _, body = channel.transport.written.getvalue().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
        self.assertIn(b"content-length: %d" % len(body), head.lower())
