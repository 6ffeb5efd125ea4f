"""PulseAudio and PipeWire's Pulse server: their sources, and from which of them this process really records.

The only importer of pulsectl; Linux only. When the sound a stream records from disappears (a headset is unplugged), the
server moves the stream to another source, often the agent's microphone, and tells nobody.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


class PulseUnreachable(Exception):
    """There is no such server (any more), or it refused."""


@dataclass(frozen=True, slots=True)
class PulseSource:
    """Something to record from."""

    name: str
    """Unique on the server, such as alsa_input.usb-headset.mono."""
    description: str
    rate: int
    """Hz."""
    channels: int
    monitor: bool
    """It carries what is played to an output: the far end."""
    default: bool
    """A monitor: of the default output. Otherwise: the default input."""


class PulseServer:
    """The user's sound server. Usable from several threads, one at a time; connects again after it was restarted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Any = None
        self._source_names: dict[int, str] = {}
        """Source index -> name; the server never uses an index again."""

    def sources(self) -> tuple[PulseSource, ...]:
        """All there are. Raises PulseUnreachable."""

        def query(pulse: Any) -> tuple[PulseSource, ...]:
            server = pulse.server_info()
            defaults = (server.default_source_name, f"{server.default_sink_name}.monitor")
            return tuple(
                PulseSource(
                    source.name,
                    source.description,
                    source.sample_spec.rate,
                    source.sample_spec.channels,
                    # 2**32 - 1 where the source is no monitor.
                    source.monitor_of_sink < 2**32 - 1,
                    source.name in defaults,
                )
                for source in pulse.source_list()
            )

        return self._query(query)

    def own_streams(self) -> dict[int, str]:
        """Each stream this process records, by number, and the name of its source now. Raises PulseUnreachable."""

        def query(pulse: Any) -> dict[int, str]:
            mine = str(os.getpid())
            return {
                output.index: self._source_name(pulse, output.source)
                for output in pulse.source_output_list()
                if output.proplist.get("application.process.id") == mine
            }

        return self._query(query)

    def sources_of(self, streams: tuple[int, ...]) -> dict[int, str]:
        """The same for these streams only, at a fraction of the cost; a stream that has ended is left out."""

        def query(pulse: Any) -> dict[int, str]:
            import pulsectl

            now = {}
            for stream in streams:
                with contextlib.suppress(pulsectl.PulseIndexError):
                    now[stream] = self._source_name(pulse, pulse.source_output_info(stream).source)
            return now

        return self._query(query)

    def _source_name(self, pulse: Any, source: int) -> str:
        if source not in self._source_names:
            self._source_names = {listed.index: listed.name for listed in pulse.source_list()}
        return self._source_names.get(source, "")

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            self._disconnect()

    def _query(self, query: Callable[[Any], T]) -> T:
        if sys.platform != "linux":
            raise PulseUnreachable
        try:
            import pulsectl
        except OSError:  # without the server's own library there is no server
            raise PulseUnreachable from None
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = pulsectl.Pulse("call-assist", connect=False)
                    # No timeout here: with one, pulsectl always waits for all of it.
                    self._connection.connect(autospawn=False)
                return query(self._connection)
            except (pulsectl.PulseError, OSError) as error:
                self._disconnect()
                raise PulseUnreachable from error

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._source_names = {}
        if connection is not None:
            connection.close()
