"""A simulated server whose metrics are read as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from twisted.web.test.requesthelper import DummyRequest

from bittrrt.app.histogram import Histogram
from bittrrt.app.metrics import Metrics, MetricsResource
from bittrrt.app.watch import Watch
from tests.net.simulated_link import SimulatedLinkTestCase

Labels = frozenset[tuple[str, str]]


class Scrape:
    """One exposition, parsed."""

    def __init__(self, exposition: bytes) -> None:
        self.families = list(text_string_to_metric_families(exposition.decode()))
        self.types = {family.name: family.type for family in self.families}
        self.values: dict[tuple[str, Labels], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """One sample's value; a `KeyError` if there is none."""
        return self.values[f"bittrrt_{name}", frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples that have these labels, whatever others they have."""
        chosen = [
            value
            for (found, its), value in self.values.items()
            if found == f"bittrrt_{name}" and its >= frozenset(labels.items())
        ]
        if not chosen:
            raise KeyError(name)
        return sum(chosen)

    def counters(self) -> dict[tuple[str, Labels], float]:
        """The samples that never go back."""
        names = {family.name for family in self.families if family.type in ("counter", "histogram")}
        return {
            key: value
            for key, value in self.values.items()
            if key[0].removesuffix("_total") in names
            or any(key[0] == name + suffix for name in names for suffix in ("_bucket", "_sum", "_count"))
        }


class MetricsTestCase(SimulatedLinkTestCase):
    def start_server(self, settings: object = None) -> None:
        super().start_server()
        self.rendezvous = self.listen_for_clients()
        self.loop_delays = Histogram()
        self.watch = Watch(self.server)
        self.metrics = Metrics(self.server, self.watch, self.rendezvous, self.loop_delays)

    def exposition(self, accept: str | None = None) -> tuple[str, bytes]:
        """The content type, and the body that is served to who asks for that."""
        request = DummyRequest([b""])
        if accept is not None:
            request.requestHeaders.setRawHeaders("accept", [accept])
        body = MetricsResource(self.metrics).render(request)
        assert isinstance(body, bytes)
        (content_type,) = request.responseHeaders.getRawHeaders("content-type") or [""]
        return content_type, body

    def scrape(self) -> Scrape:
        return Scrape(self.exposition()[1])
