"""`ls`: what is listed is shown as it comes, once, and nothing of it is kept."""

from __future__ import annotations

import errno
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.ls import Listing
from bittrrt.errors import FileError, LinkLost
from bittrrt.wire.transfer_messages import Listed


class FakeSession:
    """Lists what the test says."""

    def list_folder(
        self, path: str, take: Callable[[Listed], None], told: Callable[[FileError], None]
    ) -> Deferred[None]:
        self.take = take
        self.ended: Deferred[None] = Deferred()
        return self.ended

    def say(self, *names: str) -> None:
        for name in names:
            self.take(Listed(name, False, 1, 1, 0o644))


class ListingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shown: list[str] = []
        self.listing = Listing("", lambda entry: self.shown.append(entry.name))

    def begin(self) -> FakeSession:
        session = FakeSession()
        self.listing.begin(session)  # type: ignore[arg-type]
        return session

    def test_a_list_that_begins_again_in_another_session_goes_on_where_it_was(self) -> None:
        first = self.begin()
        first.say("a", "b")
        first.ended.errback(LinkLost("lost"))
        self.listing.session_lost()
        self.assertNoResult(self.listing.finished)
        second = self.begin()
        second.say("a", "b", "c")
        second.ended.callback(None)
        self.successResultOf(self.listing.finished)
        self.assertEqual(self.shown, ["a", "b", "c"])

    def test_names_out_of_order_are_not_shown_so_that_no_list_can_go_in_circles(self) -> None:
        self.begin().say("b", "a", "b", "c", "a")
        self.assertEqual(self.shown, ["b", "c"])

    def test_output_that_cannot_be_written_ends_it(self) -> None:
        def show(entry: Listed) -> None:
            raise OSError(errno.ENOSPC, "full")

        self.listing = Listing("", show)
        self.begin().say("a", "b")
        self.failureResultOf(self.listing.finished, OSError)
