"""Streams live output to the server: within the credit, in small pieces, and always before the result."""

from __future__ import annotations

import trio

from agent.core import effects as out
from agent.core.model import Key
from agent.core.watching import Watching
from agent.log import Log
from agent.output.reader import OutputReader, Piece
from agent.send_queue import SendQueue
from agent.shim import live
from agent.storage.spool import Spool
from proto.messages import CommandMessage, Output, Stream, Watch

PAUSE = 0.2
"""Seconds between two reads. Output that arrives in between is sent together."""
BUSY = 8
"""When this many messages wait to be sent, live output waits."""


class OutputStreamer:
    """Sends the output of watched executions. `run` must run while a session is open."""

    def __init__(self, spool: Spool, send_queue: SendQueue[out.Message | CommandMessage], log: Log) -> None:
        self._spool, self._send_queue, self._log = spool, send_queue, log
        self._watching = Watching()
        self._readers: dict[Key, OutputReader] = {}
        self._wakeup = trio.Event()

    def watch(self, key: Key, wanted: Watch) -> None:
        """Start or stop streaming the output of an execution."""
        self._close(key)
        if wanted.stop:
            self._watching.stop(key)
            return
        dropped = self._watching.watch(key)
        if dropped is not None:
            self._close(dropped)
        self._readers[key] = OutputReader(self._spool.path(key), wanted.stdout_offset, wanted.stderr_offset)
        self._wakeup.set()

    def grant(self, output_bytes: int) -> None:
        """Add bytes of credit."""
        self._watching.grant(output_bytes)
        self._wakeup.set()

    def clear(self) -> None:
        """End all streams and drop the credit, because the session has ended."""
        for key in list(self._readers):
            self._close(key)
        self._watching.clear()

    async def run(self) -> None:
        """Send output until cancelled."""
        while True:
            await self._wakeup.wait()
            if not self._watching:
                self._wakeup = trio.Event()
                continue
            if len(self._send_queue) < BUSY:
                self._send_round()
            await trio.sleep(PAUSE)

    def finish(self, key: Key) -> None:
        """Send as much as the credit allows before the result is sent; the result contains the rest."""
        reader = self._readers.get(key)
        while reader is not None and self._watching.room and self._send_piece(key, reader):
            pass
        self._close(key)
        self._watching.stop(key)
        try:
            live.remove(self._spool.path(key))
        except OSError as error:
            self._log.warning("live_output_removal_failed", command_id=key[0], attempt=key[1], error=str(error))

    def _send_round(self) -> None:
        for key in self._watching.turns():
            self._send_piece(key, self._readers[key])

    def _send_piece(self, key: Key, reader: OutputReader) -> bool:
        """Send one piece; False if there was none."""
        try:
            piece = reader.next(self._watching.room)
        except OSError as error:
            self._log.warning("live_output_unreadable", command_id=key[0], attempt=key[1], error=str(error))
            self._close(key)
            self._watching.stop(key)
            return False
        if piece is None:
            return False
        self._watching.spend(len(piece.data))
        self._send_queue.put(message(key, piece))
        return True

    def _close(self, key: Key) -> None:
        reader = self._readers.pop(key, None)
        if reader is not None:
            reader.close()


def message(key: Key, piece: Piece) -> CommandMessage:
    """Build the message for a piece of output."""
    return CommandMessage(
        output=Output(key[0], key[1], Stream(piece.stream), piece.offset, piece.data, piece.order, piece.at_ms)
    )
