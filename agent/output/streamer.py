"""Output for those who look at it while it comes: against credit, a little at a time, and never before a result that
waits."""

from __future__ import annotations

import trio

from agent.core import effects as out
from agent.core.model import Key
from agent.core.watching import Watching
from agent.log import Log
from agent.output.reader import Follower, Piece
from agent.send_queue import Outbox
from agent.shim import live
from agent.storage.spool import Spool
from proto.messages import CommandMessage, Output, Stream, Watch

PAUSE = 0.2
"""Seconds between two looks: what comes in between goes out together."""
BUSY = 8
"""Messages that wait to be sent from which on output waits for them."""


class Showing:
    """`run` must be running while a session is."""

    def __init__(self, spool: Spool, outbox: Outbox[out.Message | CommandMessage], log: Log) -> None:
        self._spool, self._outbox, self._log = spool, outbox, log
        self._watching = Watching()
        self._followers: dict[Key, Follower] = {}
        self._stirred = trio.Event()

    def watch(self, key: Key, wanted: Watch) -> None:
        self._close(key)
        if wanted.stop:
            self._watching.stop(key)
            return
        dropped = self._watching.watch(key)
        if dropped is not None:
            self._close(dropped)
        self._followers[key] = Follower(self._spool.path(key), wanted.stdout_offset, wanted.stderr_offset)
        self._stirred.set()

    def grant(self, output_bytes: int) -> None:
        self._watching.grant(output_bytes)
        self._stirred.set()

    def clear(self) -> None:
        """The session is over, and with it its credit and who looked."""
        for key in list(self._followers):
            self._close(key)
        self._watching.clear()

    async def run(self) -> None:
        while True:
            await self._stirred.wait()
            if not self._watching:
                self._stirred = trio.Event()
                continue
            if len(self._outbox) < BUSY:
                self._look()
            await trio.sleep(PAUSE)

    def end(self, key: Key) -> None:
        """It has ended: what can still be shown is put before its result; the rest is in that."""
        follower = self._followers.get(key)
        while follower is not None and self._watching.room and self._say(key, follower):
            pass
        self._close(key)
        self._watching.stop(key)
        try:
            live.remove(self._spool.path(key))
        except OSError as error:
            self._log.warning("live output cannot be removed", command_id=key[0], attempt=key[1], error=str(error))

    def _look(self) -> None:
        for key in self._watching.turns():
            self._say(key, self._followers[key])

    def _say(self, key: Key, follower: Follower) -> bool:
        """False: there was nothing to say."""
        try:
            piece = follower.next(self._watching.room)
        except OSError as error:
            self._log.warning("live output cannot be read", command_id=key[0], attempt=key[1], error=str(error))
            self._close(key)
            self._watching.stop(key)
            return False
        if piece is None:
            return False
        self._watching.spend(len(piece.data))
        self._outbox.put(message(key, piece))
        return True

    def _close(self, key: Key) -> None:
        follower = self._followers.pop(key, None)
        if follower is not None:
            follower.close()


def message(key: Key, piece: Piece) -> CommandMessage:
    return CommandMessage(
        output=Output(key[0], key[1], Stream(piece.stream), piece.offset, piece.data, piece.order, piece.at_ms)
    )
