"""Settings: one name for each in TOML, options and mappings; what does not fit is refused by its name."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import SettingsError
from bittrrt.settings import Settings, as_settings, default_home, read_config_file, settings_from_options


class SettingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.enterContext(TemporaryDirectory())) / "server.toml"

    def line(self, toml: str | bytes, **options: object) -> str:
        """The error of a file and options."""
        self.file.write_bytes(toml.encode() if isinstance(toml, str) else toml)
        error = self.assertRaises(SettingsError, settings_from_options, options, str(self.file))
        self.assertNotIn("\n", str(error))
        return str(error).replace(str(self.file), "FILE")

    def test_an_option_goes_before_the_file_and_the_file_before_the_default(self) -> None:
        self.file.write_text('port = 7000\nheartbeat = 100\nport-ranges = "8000-8002"\n')
        settings = settings_from_options({"port": "7001", "heartbeat": None}, str(self.file))
        self.assertEqual((settings.port, settings.heartbeat, settings.port_ranges), (7001, 100, "8000-8002"))
        self.assertEqual(settings.max_sessions_per_key, Settings().max_sessions_per_key)

    def test_names_in_the_file_may_have_hyphens_or_underscores(self) -> None:
        self.file.write_text("stale-after = 9000\nmax_sessions_per_key = 2\n")
        self.assertEqual(read_config_file(str(self.file)), {"stale_after": 9000, "max_sessions_per_key": 2})

    def test_what_does_not_fit_is_named(self) -> None:
        self.assertEqual(self.line("prot = 1"), "FILE: there is no setting prot")
        self.assertEqual(self.line("port = 0"), "FILE: port: expected `int` >= 1")
        self.assertEqual(self.line("port = [1]"), "FILE: port: expected `int`, got `array`")
        self.assertEqual(self.line("port-ranges = 1"), "FILE: port-ranges: expected `str`, got `int`")
        self.assertEqual(self.line("", port="abc"), "the options: port: expected `int`, got `str`")
        self.assertEqual(self.line("", heartbeat="9"), "the options: heartbeat: expected `int` >= 10")

    def test_a_file_that_is_no_toml_is_refused(self) -> None:
        self.assertIn("FILE is no TOML: ", self.line("port ="))
        self.assertIn("FILE is no TOML: ", self.line(b"\xff"))

    def test_a_file_that_is_not_there_is_refused(self) -> None:
        error = self.assertRaises(SettingsError, settings_from_options, {}, "/nowhere/x.toml")
        self.assertEqual(str(error), "cannot read the configuration file /nowhere/x.toml: No such file or directory")

    def test_a_mapping_may_have_keys_of_its_owner(self) -> None:
        self.assertEqual(as_settings({"port": 7000, "color": "red"}).port, 7000)
        self.assertEqual(as_settings(None).port, 6711)
        settings = Settings(port=1)
        self.assertIs(as_settings(settings), settings)
        self.assertRaises(SettingsError, as_settings, {"port": -1})

    def test_the_home_directory_is_the_environments_or_the_users(self) -> None:
        with mock.patch.dict(os.environ, {"BITTRRT_HOME": "/var/lib/b", "HOME": "/home/u"}):
            self.assertEqual(default_home(), Path("/var/lib/b"))
            os.environ["BITTRRT_HOME"] = ""
            self.assertEqual(Settings().home, Path("/home/u/.bittrrt"))
            self.assertEqual(as_settings({"home": "~/x"}).home, Path("/home/u/x"))

    def test_silence_is_stale_after_six_heartbeats_unless_set(self) -> None:
        self.assertEqual(Settings(heartbeat=100).stale_after_seconds, 0.6)
        self.assertEqual(Settings(heartbeat=100, stale_after=2500).stale_after_seconds, 2.5)
        self.assertEqual(Settings(heartbeat=100).heartbeat_seconds, 0.1)
        self.assertEqual(Settings(port_quarantine=1500).port_quarantine_seconds, 1.5)
