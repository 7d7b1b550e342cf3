"""`/metrics` as a resource of a web site, in both formats."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.test.requesthelper import DummyChannel

from bittrrt.app.metrics import MetricsResource

from .metrics_case import MetricsTestCase


class ResourceTests(MetricsTestCase):
    def test_it_tells_prometheus_text_to_who_asks_for_nothing_else(self) -> None:
        for accept in (None, "*/*", "text/plain"):
            content_type, body = self.exposition(accept)
            self.assertTrue(content_type.startswith("text/plain; version=0.0.4"), content_type)
            names = {family.name for family in text_string_to_metric_families(body.decode())}
            self.assertLessEqual({"bittrrt_sessions", "process_max_fds"}, names)

    def test_who_asks_for_openmetrics_gets_that(self) -> None:
        content_type, body = self.exposition(
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5"
        )
        self.assertTrue(content_type.startswith("application/openmetrics-text; version=1.0.0"), content_type)
        self.assertIn("bittrrt_sessions", {family.name for family in parse_openmetrics(body.decode())})

    def test_a_site_serves_it(self) -> None:
        root = Resource()
        root.putChild(b"metrics", MetricsResource(self.metrics))
        channel = DummyChannel()
        channel.site = Site(root)
        request = channel.site.requestFactory(channel, False)
        request.gotLength(0)
        request.requestReceived(b"GET", b"/metrics", b"HTTP/1.1")
        head, _, body = channel.transport.written.getvalue().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
        self.assertIn(b"content-length: %d" % len(body), head.lower())
        self.assertIn(b"\nbittrrt_sessions 0.0\n", body)
