"""Options of the two services: complete, and refused by name where they do not fit."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app import client_tap, tap
from bittrrt.settings import Settings


class OptionsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.enterContext(TemporaryDirectory()))

    def file(self, toml: str) -> str:
        path = self.directory / "options.toml"
        path.write_text(toml)
        return f"--config={path}"


class ServerOptionsTests(OptionsTestCase):
    def parse(self, *args: str) -> Settings:
        options = tap.Options()
        options.parseOptions(list(args))
        return options.settings

    def line(self, *args: str) -> str:
        return str(self.assertRaises(SystemExit, self.parse, *args))

    def test_every_setting_has_its_option(self) -> None:
        options = {name for name, *_ in tap.Options.optParameters}
        self.assertEqual(options - {"config"}, {name.replace("_", "-") for name in Settings.__struct_fields__})

    def test_help_and_readme_name_every_option_with_its_default(self) -> None:
        text = " ".join(tap.Options().getUsage(width=200).split())
        settings = Settings()
        for name in (
            "interface",
            "port",
            "port_ranges",
            "heartbeat",
            "max_sessions_per_key",
            "port_quarantine",
            "history_days",
        ):
            option = name.replace("_", "-")
            self.assertRegex(text, rf"--{option}= [^\[]*\[default: {getattr(settings, name)}\]")

    def test_every_setting_has_its_key_in_the_file(self) -> None:
        values = {
            "home": "/h", "interface": "::1", "port": 7000, "port-ranges": "8000-8002", "advertise": "example.net",
            "heartbeat": 100, "stale-after": 900, "max-sessions-per-key": 2, "port-quarantine": 5,
            "history-days": 7,
        }  # fmt: skip
        lines = [f"{name} = {value!r}" for name, value in values.items()]
        settings = self.parse(self.file("\n".join(lines)))
        self.assertEqual(list(map(str, (getattr(settings, n.replace("-", "_")) for n in values))),
                         list(map(str, values.values())))  # fmt: skip
        self.assertEqual(settings, self.parse(*[f"--{name}={value}" for name, value in values.items()]))

    def test_an_option_goes_before_the_file(self) -> None:
        settings = self.parse(self.file("port = 7000\nheartbeat = 100"), "--port", "7001")
        self.assertEqual((settings.port, settings.heartbeat), (7001, 100))

    def test_what_makes_no_server_ends_with_one_line(self) -> None:
        for args, expected in (
            (["--port=x"], "bittrrt: the options: port: expected `int`, got `str`"),
            (["--port-ranges=9-1"], "bittrrt: port-ranges: '9-1' is no port or range of ports, as in 6712-6999,7100"),
            (["--port-ranges=7000,7002"],
             "bittrrt: port-ranges: 7000,7002 is fewer than the three ports of one session"),
            (["--advertise=a b"], "bittrrt: advertise: 'a b' is not HOST, HOST:PORT or [IPv6]:PORT"),
            (["--stale-after=9999"],
             ("bittrrt: stale-after: 9999 ms is less than two heartbeats of 5000 ms: one that is lost would end the"
              " session")),
        ):  # fmt: skip
            self.assertEqual(self.line(*args), expected)

    def test_a_bad_value_in_the_file_names_the_file(self) -> None:
        self.assertRegex(self.line(self.file("port = 0"), "--port=7000"), r"^bittrrt: /.*options\.toml: port: expected")


class ClientOptionsTests(OptionsTestCase):
    def parse(self, *args: str) -> client_tap.Options:
        options = client_tap.Options()
        options.parseOptions(list(args))
        return options

    def test_the_heartbeat_is_the_servers_unless_an_option_or_the_file_says_more(self) -> None:
        self.assertIsNone(self.parse("host").heartbeat)
        self.assertEqual(self.parse("--heartbeat=50", "host").heartbeat, 50)
        file = self.file("heartbeat = 5000")
        self.assertEqual(self.parse(file, "host").heartbeat, 5000)
        self.assertEqual(self.parse(file, "--heartbeat=50", "host").heartbeat, 50)
        self.assertIsNone(self.parse(self.file("port = 7000"), "host").heartbeat)

    def test_a_bad_value_ends_with_one_line(self) -> None:
        error = self.assertRaises(SystemExit, self.parse, "--heartbeat=1", "host")
        self.assertEqual(str(error), "bittrrt-client: the options: heartbeat: expected `int` >= 10")
