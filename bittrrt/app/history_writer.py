"""Writes history in a thread of its own, so that no disk can hold up a link.

put ---> queue, bounded ---> thread: rows are made, written, and old ones forgotten
  | full: counted, dropped          | fails: one line, the rows are dropped, the next ones are tried
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from ..errors import HistoryDamaged, LinkError
from ..files.history import Batch, History, current_inode, set_aside
from ..files.home import Home

MAX_WAITING: Final = 20_000  # rows: more than a minute of 5,000 sessions, and at most 60 MB if no disk takes them
FORGET_EVERY: Final = 3600.0  # seconds
PAUSE: Final = 0.001  # seconds, after less than one of work: 5,000 sessions take a second of a minute
LAST_WRITE: Final = 5.0  # seconds that the end of a program waits for its last rows

MakeBatch = Callable[[Callable[[], object]], Batch]
"""Makes the rows, in the writer's thread: percentiles take a while. Now and then it calls what it is given, which
sleeps a moment: the reactor's thread waits for the interpreter by then, and heartbeats count.
"""


class HistoryWriter:
    """One thread that writes. All methods are for other threads, and none waits for the disk but `close`."""

    def __init__(
        self,
        home: Home,
        wall: Callable[[], float],
        say: Callable[[str], None],
        *,
        days: int | None = None,
        open_history: Callable[[Home], History] = History.open,
        pause: Callable[[], object] = lambda: time.sleep(PAUSE),
    ) -> None:
        """`wall`: seconds since 1970. `say` is told, in the writer's thread, when history is not kept and when it is
        again. `days` to keep; None for as long as was said last.
        """
        self._home = home
        self._wall = wall
        self._say = say
        self._days = days
        self._open_history = open_history
        self._pause = pause
        self._history: History | None = None
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, MakeBatch]] = deque()
        self._waiting_rows = 0
        self._closing = False
        self._trouble = ""
        self._lost_in_trouble = 0
        self._forgotten_at = 0.0
        self._inode: int | None = None
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)  # a dead disk holds no program
        self.dropped = 0
        """Rows that were not written, since the disk was too slow or did not take them."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, rows: int, make_batch: MakeBatch) -> None:
        """Have these rows written, about so many. They are dropped if too many wait."""
        with self._changed:
            if self._waiting_rows + rows > MAX_WAITING:
                self.dropped += rows
                self._lost_in_trouble += rows
                return
            self._waiting.append((rows, make_batch))
            self._waiting_rows += rows
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, and end; gives up after a while."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(LAST_WRITE)

    # --- in the thread ---

    def _run(self) -> None:
        self._attempt(self._opened)
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    break
                rows, make_batch = self._waiting.popleft()
            if self._attempt(lambda make=make_batch: self._opened().write(make(self._pause))):  # type: ignore[misc]
                self._worked()
            else:
                with self._changed:
                    self.dropped += rows
                    self._lost_in_trouble += rows
            with self._changed:
                self._waiting_rows -= rows
            self._forget()
        if self._history is not None:
            self._history.close()

    def _opened(self) -> History:
        if self._history is None:
            self._inode = current_inode(self._home)
            self._history = self._open_history(self._home)
            if self._days is not None:
                self._history.keep_days(self._days)
        return self._history

    def _attempt(self, work: Callable[[], object]) -> bool:
        """Whether `work` could be done. A file that is damaged is set aside, and one more try made with a new one."""
        try:
            try:
                work()
            except HistoryDamaged as damage:
                self._give_up_file()
                aside = set_aside(self._home, self._inode, self._wall())
                if aside is not None:
                    self._say(f"{damage}; it is kept as {aside.name}, and history begins anew")
                work()
        except LinkError as error:
            self._give_up_file()
            self._failed(str(error))
            return False
        except Exception as error:  # no error of history may end the thread
            self._give_up_file()
            self._failed(f"{type(error).__name__}: {error}")
            return False
        return True

    def _give_up_file(self) -> None:
        """The next try opens it anew: the disk may be another one by then."""
        if self._history is not None:
            self._history.close()
            self._history = None

    def _failed(self, why: str) -> None:
        """Tell it once, not every minute."""
        if why != self._trouble:
            self._trouble = why
            self._say(f"history is not kept: {why}")

    def _worked(self) -> None:
        """Rows were written; that old ones could be deleted would not say so of a full disk."""
        with self._changed:
            lost, self._lost_in_trouble = self._lost_in_trouble, 0
        if self._trouble or lost:
            self._trouble = ""
            self._say(f"history is kept again; {lost} rows were lost")

    def _forget(self) -> None:
        """Delete what is too old, a piece at a time; rows that wait go first, and the rest follows after them."""
        now = self._wall()
        if abs(now - self._forgotten_at) < FORGET_EVERY:
            return
        more = True

        def delete_piece() -> None:
            nonlocal more
            more = self._opened().forget(now)

        while more:
            if self._waiting or self._closing or not self._attempt(delete_piece):
                return
        self._forgotten_at = now
