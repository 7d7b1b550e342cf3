"""That each rule of contrib/alerts.yml wakes somebody when it should, and none on a quiet day: as Prometheus runs them.

Series are in promtool's notation, a value a minute: `0+10x30` grows by 10, thirty times.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml
from twisted.trial.unittest import SynchronousTestCase

from .promtool import promtool

RULES: Final = Path(__file__).parents[2] / "contrib" / "alerts.yml"
DAY: Final = 24 * 60  # minutes

QUIET: Final = {
    "up": "1x60",
    "process_start_time_seconds": "1700000000x60",
    "process_open_fds": "100x60",
    "process_max_fds": "1000x60",
    "bittrrt_sessions": "30x60",
    'bittrrt_ports{state="free"}': "198x60",
    'bittrrt_ports{state="used"}': "90x60",
    'bittrrt_heartbeats_total{port="dn",outcome="lost"}': "0+1x60",
    'bittrrt_heartbeats_total{port="dn",outcome="measured"}': "0+360x60",
    'bittrrt_session_ports{port="dn",state="alive"}': "28x60",
    'bittrrt_session_ports{port="dn",state="silent"}': "2x60",
    'bittrrt_round_trip_seconds_bucket{port="dn",le="0.02"}': "0+300x60",
    'bittrrt_round_trip_seconds_bucket{port="dn",le="+Inf"}': "0+360x60",
    'bittrrt_round_trip_seconds_count{port="dn"}': "0+360x60",
    'bittrrt_sessions_ended_total{reason="stale"}': "0x10 2x50",
    'bittrrt_loop_delay_seconds_bucket{le="0.0001"}': "0+590x60",
    'bittrrt_loop_delay_seconds_bucket{le="0.02"}': "0+600x60",
    'bittrrt_loop_delay_seconds_bucket{le="+Inf"}': "0+600x60",
    'bittrrt_handshakes_refused_total{reason="unknown-client"}': "0x10 1x50",
    'bittrrt_handshakes_refused_total{reason="no-ports"}': "0x60",
    "bittrrt_connections_turned_away_total": "0x60",
    'bittrrt_datagrams_dropped_total{port="up",reason="not_authentic"}': "0+10x60",
    'bittrrt_kernel_dropped_datagrams_total{port="up"}': "0x10 50x50",
    'bittrrt_transfers_failed_total{direction="get",reason="missing"}': "0+1x60",
}

FAST, SLOW = f"0+60x{DAY} {60 * DAY}x60", f"0+60x{DAY + 60}"
TROUBLE: Final[dict[str, tuple[int, dict[str, str]]]] = {
    "BittrRtDown": (5, {"up": "0x10"}),
    "BittrRtRestarts": (20, {"process_start_time_seconds": "1700000000+60x20"}),
    "BittrRtNoPorts": (5, {'bittrrt_ports{state="free"}': "2x10", 'bittrrt_ports{state="used"}': "9x10"}),
    "BittrRtFewPorts": (20, {'bittrrt_ports{state="free"}': "10x30", 'bittrrt_ports{state="used"}': "270x30"}),
    "BittrRtLoss": (
        30,
        {
            'bittrrt_heartbeats_total{port="dn",outcome="lost"}': "0+10x30",
            'bittrrt_heartbeats_total{port="dn",outcome="measured"}': "0+90x30",
        },
    ),
    "BittrRtPortSilent": (
        20,
        {
            'bittrrt_session_ports{port="up",state="alive"}': "6x30",
            'bittrrt_session_ports{port="up",state="silent"}': "4x30",
        },
    ),
    "BittrRtSlow": (
        DAY + 50,
        {
            'bittrrt_round_trip_seconds_bucket{port="up",le="0.01"}': FAST,
            'bittrrt_round_trip_seconds_bucket{port="up",le="0.5"}': SLOW,
            'bittrrt_round_trip_seconds_bucket{port="up",le="+Inf"}': SLOW,
            'bittrrt_round_trip_seconds_count{port="up"}': SLOW,
        },
    ),
    "BittrRtStaleSessions": (
        15,
        {'bittrrt_sessions_ended_total{reason="stale"}': "0x5 20x20", "bittrrt_sessions": "10x30"},
    ),
    "BittrRtLoopDelay": (
        20,
        {
            'bittrrt_loop_delay_seconds_bucket{le="0.1"}': "0+580x30",
            'bittrrt_loop_delay_seconds_bucket{le="0.5"}': "0+600x30",
            'bittrrt_loop_delay_seconds_bucket{le="+Inf"}': "0+600x30",
        },
    ),
    "BittrRtRefused": (20, {'bittrrt_handshakes_refused_total{reason="invite-unknown"}': "0+10x30"}),
    "BittrRtBusy": (20, {'bittrrt_handshakes_refused_total{reason="no-ports"}': "0+1x30"}),
    "BittrRtTurnedAway": (20, {"bittrrt_connections_turned_away_total": "0+10x30"}),
    "BittrRtForgeries": (25, {'bittrrt_datagrams_dropped_total{port="up",reason="replayed"}': "0+12000x30"}),
    "BittrRtKernelDrops": (25, {'bittrrt_kernel_dropped_datagrams_total{port="up"}': "0+1200x30"}),
    "BittrRtTransfersFail": (10, {'bittrrt_transfers_failed_total{direction="put",reason="disk-full"}': "0x5 3x20"}),
    "BittrRtFewDescriptors": (10, {"process_open_fds": "950x20", "process_max_fds": "1000x20"}),
}
"""By rule: series that make it fire, and the minute at which it does."""


def labelled(series: str) -> str:
    """The series as it is when the server was scraped by its job."""
    name, _, labels = series.partition("{")
    return f'{name}{{job="bittrrt",instance="a:6780"' + ("," + labels if labels else "}")


def firing(series: dict[str, str], minute: int, expected: dict[str, int]) -> dict[str, Any]:
    """A case for promtool: which rules fire at that minute, and how often."""
    return {
        "interval": "1m",
        "input_series": [{"series": labelled(name), "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": times} for name, times in expected.items()
                ],
            }
        ],
    }


class AlertTests(SynchronousTestCase):
    def check(self, *cases: dict[str, Any]) -> None:
        path = Path(self.enterContext(TemporaryDirectory())) / "test.yml"
        everything = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": list(cases)}
        path.write_text(yaml.safe_dump(everything), encoding="utf-8")
        promtool("test", "rules", str(path))

    def test_every_rule_has_its_trouble_here(self) -> None:
        (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
        self.assertEqual([rule["alert"] for rule in group["rules"]], list(TROUBLE))

    def test_each_fires_in_its_own_trouble_and_no_other_does(self) -> None:
        self.check(*[firing(series, minute, {name: 1}) for name, (minute, series) in TROUBLE.items()])

    def test_none_fires_on_a_quiet_day(self) -> None:
        self.check(*[firing(QUIET, minute, {}) for minute in (5, 20, 40, 59)])
