"""What the options of a client's line allow, and how its quota counts."""

from __future__ import annotations

from twisted.trial import unittest

from bittrrt.errors import PermissionRefused, SettingsError
from bittrrt.files.rights import Quota, Rights, parse_rights, parse_size


class RightsTests(unittest.SynchronousTestCase):
    def test_no_options_allow_everything_and_naming_one_narrows(self) -> None:
        self.assertEqual(parse_rights({}), Rights(True, True, "", None))
        self.assertEqual(parse_rights({"read": ""}), Rights(True, False))
        self.assertEqual(parse_rights({"write": ""}), Rights(False, True))
        self.assertEqual(
            parse_rights({"write": "", "read": "", "folder": "alice/in", "quota": "10G"}),
            Rights(True, True, "alice/in", 10 * 2**30),
        )
        self.assertEqual(parse_rights({"quota": "0"}), Rights(quota=0))

    def test_other_options_are_errors_that_name_them(self) -> None:
        for option in ("admin", "read=yes", "folder", "folder=", "folder=../x", "folder=/x", "quota=", "quota=-1", ""):
            with self.assertRaises(SettingsError) as caught:
                parse_rights({option.partition("=")[0]: option.partition("=")[2]})
            self.assertIn(option.partition("=")[2], str(caught.exception))

    def test_what_is_not_allowed_is_refused_with_what_to_do(self) -> None:
        Rights().require_read()
        Rights().require_write()
        self.assertRaises(PermissionRefused, Rights(read=False).require_read)
        with self.assertRaises(PermissionRefused) as caught:
            Rights(write=False).require_write()
        self.assertIn("ask the server's owner", str(caught.exception))

    def test_sizes_have_units_of_1024(self) -> None:
        self.assertEqual([parse_size(text) for text in ("0", "7k", "3M", "2T")], [0, 7168, 3 * 2**20, 2 * 2**40])
        for text in ("", "G", "1.5G", "-1", "1P", "1 G", "٣", "9" * 16):
            self.assertRaises(SettingsError, parse_size, text)


class QuotaTests(unittest.SynchronousTestCase):
    def test_takes_up_to_its_limit_and_never_counts_what_it_refused(self) -> None:
        quota = Quota(100, used=40)
        self.assertTrue(quota.take(60))
        self.assertFalse(quota.take(1))
        self.assertEqual((quota.used, quota.free), (100, 0))
        quota.give(30)
        self.assertEqual(quota.free, 30)

    def test_a_folder_over_its_limit_takes_no_more_but_may_shrink(self) -> None:
        quota = Quota(100, used=150)
        self.assertEqual(quota.free, 0)
        self.assertFalse(quota.take(1))
        self.assertTrue(quota.take(-10))
        self.assertTrue(quota.take(0))
        self.assertEqual(quota.used, 140)

    def test_without_a_limit_everything_is_taken(self) -> None:
        quota = Quota(None)
        self.assertTrue(quota.take(2**62))
        self.assertIsNone(quota.free)
