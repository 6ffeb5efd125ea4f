"""Many open pages without a browser, in a process of their own: `python -m assist.bench.crowd URL KIND COUNT`.

KIND is agent (each in a room of its own, agents "crowd-0", "crowd-1" ...) or board. Each page does what a real one
does: a ticket, the websocket, and back again after a random wait when the line is lost. Lines on standard input:
"report" prints one JSON object (open pages, and the delays in ms of everything received since that carries "sent@" and
the epoch time in its text) and starts anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import re
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

SENT = re.compile(r"sent@([0-9.]+)")
CONNECTING_AT_ONCE = 50


@dataclass
class _Crowd:
    url: str
    kind: str
    count: int
    open: int = 0
    delays_ms: list[float] = field(default_factory=list)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTING_AT_ONCE))

    def ticket(self, n: int) -> str:
        place = urlsplit(self.url)
        line = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        body = json.dumps({"page": self.kind, "who": f"crowd-{n}"})
        line.request("POST", "/api/ticket", body, {"Content-Type": "application/json", "Origin": self.url})
        text = line.getresponse().read()
        line.close()
        return str(json.loads(text)["ticket"])

    async def page(self, n: int) -> None:
        again_s = 0.5
        while True:
            with contextlib.suppress(OSError, WebSocketException, http.client.HTTPException, TimeoutError):
                async with self.gate:
                    ticket = await asyncio.to_thread(self.ticket, n)
                    place = self.url.replace("http", "ws") + "/live"
                    live = await connect(place, origin=Origin(self.url), compression=None, open_timeout=30)
                again_s = await self.read(live, ticket, again_s)
            await asyncio.sleep(random.uniform(0, again_s))

    async def read(self, live: ClientConnection, ticket: str, again_s: float) -> float:
        await live.send(json.dumps({"ticket": ticket}))
        self.open += 1
        try:
            async for message in live:
                now = time.time()
                text = str(message)
                for sent in SENT.findall(text):
                    self.delays_ms.append(1000 * (now - float(sent)))
                if text.startswith('[{"type": "hello"'):
                    again_s = json.loads(text)[0]["again_ms"] / 1000
        finally:
            self.open -= 1
        return again_s

    def report(self) -> None:
        print(json.dumps({"open": self.open, "delays_ms": [round(each, 2) for each in self.delays_ms]}), flush=True)
        self.delays_ms.clear()


async def _main(url: str, kind: str, count: int) -> None:
    crowd = _Crowd(url, kind, count)
    pages = [asyncio.create_task(crowd.page(n)) for n in range(count)]
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: crowd.report() if sys.stdin.readline() else _stop(pages))
    await asyncio.gather(*pages, return_exceptions=True)


def _stop(pages: list[asyncio.Task[None]]) -> None:
    asyncio.get_running_loop().remove_reader(sys.stdin)
    for page in pages:
        page.cancel()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
