"""The dashboard and the alert rules in contrib/, and docs/seeing.rst: whatever they ask Prometheus for is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from bittrrt.app.metrics import DROPS

from .metrics_case import MetricsTestCase
from .promtool import promtool

CONTRIB = Path(__file__).parents[2] / "contrib"
KEYWORDS = {"and", "or", "unless", "bool", "offset"}
TARGET_LABELS = {"instance", "job"}  # Prometheus' own, of every series

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
GROUPING = r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)"
SELECTOR = re.compile(rf"({NAME})\s*(\()?(?:\{{([^}}]*)\}})?")
MATCHER = re.compile(rf'({NAME})\s*(=~|!=|!~|=)\s*"([^"]*)"')

Matchers = list[tuple[str, str, str]]


def selectors(expression: str) -> list[tuple[str, Matchers]]:
    """The metrics that an expression names, each with what it asks of their labels."""
    without_ranges = re.sub(r"\[[^\]]*\]", "", re.sub(GROUPING, "", expression))
    return [
        (name, MATCHER.findall(matchers))
        for name, call, matchers in SELECTOR.findall(without_ranges)
        if not call and name not in KEYWORDS
    ]


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression groups by, or matches on."""
    return {label.strip() for labels in re.findall(GROUPING, expression) for label in labels.split(",")}


def table_rows(text: str) -> dict[str, list[str]]:
    """The rows of a document's tables that begin with a ``name``: their other cells, continued lines joined."""
    rows: dict[str, list[str]] = {}
    columns: list[tuple[int, int | None]] = []
    row: list[str] | None = None
    for line in text.splitlines():
        if re.fullmatch(r"=+( +=+)+", line):
            starts = [match.start() for match in re.finditer("=+", line)]
            columns = list(zip(starts, [*starts[1:], None], strict=True))
            row = None
        elif not line.strip():
            columns, row = [], None
        elif columns:
            first, *others = [line[begin:end].strip() for begin, end in columns]
            if name := re.fullmatch("``([a-z_]+)``", first):
                row = rows[name[1]] = others
            elif row is not None:
                row[:] = [f"{before} {more}".strip() for before, more in zip(row, others, strict=True)]
    return rows


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((CONTRIB / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    return dict(json.loads((CONTRIB / "grafana-dashboard.json").read_text(encoding="utf-8")))


def dashboard_targets() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every question of the dashboard, with its panel's title."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


class ContribTests(MetricsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.network.run_for(2.5)
        self.session.conn.sockets[0].counters.count_unsent(BlockingIOError(11, "no room"), 1)
        self.session.conn.sockets[0].counters.count_unread(OSError(111, "refused"))
        self.samples: dict[str, list[dict[str, str]]] = {"up": [{}]}
        for (name, labels), _ in self.scrape().values.items():
            self.samples.setdefault(name, []).append(dict(labels))

    def assert_answerable(self, expression: str) -> None:
        """Every metric in it exists, with the labels, and the labels with the values."""
        found = selectors(expression)
        self.assertTrue(found, expression)
        labels = set(TARGET_LABELS)
        for name, matchers in found:
            self.assertIn(name, self.samples, expression)
            samples = self.samples[name]
            labels |= {label for sample in samples for label in sample}
            for label, operator, value in matchers:
                if label in TARGET_LABELS:
                    continue
                known = {sample.get(label) for sample in samples}
                for one in value.split("|") if "~" in operator else [value]:
                    self.assertIn(one, known, f"{label} of {name} in {expression}")
        self.assertLessEqual(grouped_by(expression), labels, expression)


class AlertTests(ContribTests):
    def test_every_rule_asks_for_what_exists(self) -> None:
        self.assertGreater(len(rules()), 10)
        for rule in rules():
            self.assert_answerable(rule["expr"])

    def test_every_rule_says_how_bad_it_is_and_what_to_do(self) -> None:
        names = [rule["alert"] for rule in rules()]
        self.assertEqual(len(names), len(set(names)))
        for rule in rules():
            self.assertRegex(rule["alert"], r"^BittrRt[A-Z][A-Za-z]+$")
            self.assertIn(rule["labels"]["severity"], {"page", "ticket"})
            self.assertLessEqual(set(rule), {"alert", "expr", "for", "labels", "annotations"})
            self.assertEqual(set(rule["annotations"]), {"summary", "description"})
            self.assertNotIn("\n", rule["annotations"]["description"].strip())

    def test_annotations_name_only_labels_that_the_alert_has(self) -> None:
        for rule in rules():
            named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
            self.assertLessEqual(named, TARGET_LABELS | grouped_by(rule["expr"]), rule["alert"])


class DashboardTests(ContribTests):
    def test_every_panel_asks_for_what_exists(self) -> None:
        for title, target in dashboard_targets():
            with self.subTest(title):
                self.assert_answerable(target["expr"])
                legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                self.assertLessEqual(legend, TARGET_LABELS | grouped_by(target["expr"]), title)

    def test_every_metric_of_ours_has_its_place_in_it(self) -> None:
        asked = {name for _, target in dashboard_targets() for name, _ in selectors(target["expr"])}
        asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
        ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in self.samples if name.startswith("bittrrt")}
        self.assertEqual(ours - asked, set())

    def test_it_can_be_imported_wherever_prometheus_is_called_what_it_is_called(self) -> None:
        data_source, instance = dashboard()["templating"]["list"]
        self.assertEqual(
            (data_source["name"], data_source["type"], data_source["query"]), ("datasource", "datasource", "prometheus")
        )
        self.assertEqual(instance["definition"], "label_values(bittrrt_build_info, instance)")
        self.assertIsNone(dashboard().get("id"))
        for panel in dashboard()["panels"]:
            if panel["type"] != "row":
                for asks in (panel, *panel["targets"]):
                    self.assertEqual(asks["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])
                self.assertTrue(panel["description"], panel["title"])

    def test_panels_have_ids_of_their_own_and_do_not_cover_each_other(self) -> None:
        panels = dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken: dict[tuple[int, int], str] = {}
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken[x, y] = panel["title"]


class SeeingTests(ContribTests):
    """What docs/seeing.rst says of the metrics."""

    def setUp(self) -> None:
        super().setUp()
        self.text = (CONTRIB.parent / "docs" / "seeing.rst").read_text(encoding="utf-8")
        self.rows = table_rows(self.text)

    def test_every_metric_is_explained_with_its_labels(self) -> None:
        told = {name: set(cells[0].replace(",", "").split()) for name, cells in self.rows.items() if len(cells) == 2}
        exposed: dict[str, set[str]] = {}
        for name, samples in self.samples.items():
            if name.startswith("bittrrt"):
                labels = {label for sample in samples for label in sample} - {"le"}
                exposed[re.sub(r"_(bucket|sum|count)$", "", name)] = labels
        self.assertEqual(told, exposed)

    def test_every_drop_is_explained(self) -> None:
        self.assertEqual({name for name, cells in self.rows.items() if len(cells) == 1}, set(DROPS))

    def test_its_questions_can_be_answered(self) -> None:
        questions = re.findall(r"(?m)^    ((?:histogram_quantile|sum|8 \*).*)$", self.text)
        self.assertEqual(len(questions), 6)
        for question in questions:
            self.assert_answerable(question)


class PromtoolTests(ContribTests):
    """What Prometheus' own checker says, where it is installed."""

    def test_it_takes_the_rules(self) -> None:
        promtool("check", "rules", str(CONTRIB / "alerts.yml"))

    def test_it_takes_the_expressions_of_the_dashboard(self) -> None:
        expressions = [target["expr"].replace("$__rate_interval", "5m") for _, target in dashboard_targets()]
        records = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
        path = Path(self.enterContext(TemporaryDirectory())) / "rules.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}), encoding="utf-8")
        promtool("check", "rules", str(path))

    def test_it_has_nothing_to_say_against_the_exposition(self) -> None:
        promtool("check", "metrics", text=self.exposition()[1])


class SelectorTests(MetricsTestCase):
    """That the tests above see what they look for."""

    def test_metrics_are_told_from_functions_labels_and_ranges(self) -> None:
        expression = 'sum by (le, x) (rate(a_total{b="c", d=~"e|f"}[5m])) / on (g) (h) and 3 > bool i offset 5m'
        self.assertEqual(
            selectors(expression.replace("offset 5m", "")),
            [("a_total", [("b", "=", "c"), ("d", "=~", "e|f")]), ("h", []), ("i", [])],
        )
        self.assertEqual(grouped_by(expression), {"le", "x", "g"})
