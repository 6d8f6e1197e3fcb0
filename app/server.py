"""How the service runs on uvicorn: one process or several, and how they end.

At SIGTERM the drain begins: readiness fails and answers close their connections, but all requests
are served. Then the listener is closed, the requests in flight are finished, and the process ends.
A second SIGTERM, or SIGINT, ends the drain.
"""

import asyncio
import gc
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing import parent_process
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from app.connection import Connection
from app.drain import Drain
from app.logs import logging_configuration
from app.main import create_app
from app.settings import Settings

# How long a worker may take to start, or to say that it lives: on a machine that is busy it takes more than the 5 s of
# uvicorn, which then kills one that serves, or keeps the old ones on SIGHUP.
_WORKER_SECONDS = 30
# libuv accepts one connection of a listener in each turn of the loop. Where turns are long, those that connect
# would wait for many of them while others are served.
_ACCEPTED_IN_A_TURN = 32
# Objects that were made since the last collection, then collections of the generation before.
_COLLECTED_AT = (20_000, 10, 10)
# Until uvicorn's loop has taken notice of the connections that were accepted last.
_LATE_SECONDS = 0.05


def _spare_collector() -> None:
    """Let the garbage collector look at what requests leave, and not at the program over and over.

    What is there once the service has started stays; requests leave next to no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AT)


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until a signal ends it; exits with a failure if it cannot start."""
    drain = Drain(shared=workers > 1)
    config = configuration(partial(create_app, settings, drain=drain), settings, host=host, port=port, workers=workers)
    with suppress(KeyboardInterrupt):
        if workers > 1:
            supervisor = _Supervisor(config, drain, settings.drain_seconds)
            supervisor.run()
            has_started = all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)
        else:
            server = Server(config, drain, settings.drain_seconds)
            server.run()
            has_started = server.started
        if not has_started:
            sys.exit(STARTUP_FAILURE)


def configuration(
    app: Any, settings: Settings, *, host: str, port: int, workers: int = 1, readable_logs: bool = False
) -> uvicorn.Config:
    """uvicorn's configuration for an application factory."""
    return uvicorn.Config(
        app,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http=Connection,
        ws="none",
        server_header=False,
        log_config=logging_configuration(readable=readable_logs),
        access_log=False,  # A line a request is logged by the application, which knows more of it.
        proxy_headers=False,  # Nothing depends on them, and they would let a client choose what the log says.
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        timeout_worker_healthcheck=_WORKER_SECONDS,
    )


class Server(uvicorn.Server):
    """A process's server. With a drain, SIGTERM begins it; without one, SIGTERM ends the process."""

    def __init__(self, config: uvicorn.Config, drain: Drain | None = None, drain_seconds: float = 0) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._drained_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        drains = sig == signal.SIGTERM and self.started and self._drain_seconds > 0
        if self._drain is None or self._drain.has_begun or not drains:
            super().handle_exit(sig, frame)
            return
        self._drain.begin()
        self._drained_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or time.monotonic() >= self._drained_at

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        for listener in _copies(self.servers * (_ACCEPTED_IN_A_TURN - 1)):
            server = await loop.create_server(self.connection, sock=listener, backlog=self.config.backlog)
            self.servers.append(server)
        _spare_collector()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        listeners = _copies(self.servers)
        ending = asyncio.create_task(super().shutdown(sockets))
        await asyncio.sleep(0)  # It has closed the listeners, of which ours hold on to what waits to be accepted.
        await self._serve_the_late(listeners)
        await ending

    async def _serve_the_late(self, listeners: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for listener in listeners:
            with listener, suppress(OSError):  # The one that comes when nobody is left.
                for _ in range(self.config.backlog):
                    late, _ = listener.accept()
                    late.setblocking(False)
                    _, accepted = await loop.connect_accepted_socket(self.connection, late)
                    accepted.shutdown()
        await asyncio.sleep(_LATE_SECONDS)
        for connection in list(self.server_state.connections):
            connection.shutdown()

    def connection(self) -> Connection:
        """One more connection of this server."""
        kind: type[Connection] = self.config.http_protocol_class  # type: ignore[assignment]
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


class _Worker(multiprocess.Process):
    """One of several processes; ends by itself when its parent has, killed with -9 for example."""

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        super().target(sockets)

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config)
        return self._server


class _Supervisor(multiprocess.Multiprocess):
    """The parent of the workers: it drains for all of them.

    A worker that it replaces (SIGHUP) does not drain: the others go on listening on the same socket.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float) -> None:
        # uvicorn has no other way to say what its workers are.
        multiprocess.Process = _Worker  # type: ignore[misc]
        super().__init__(config, [config.bind_socket()])
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._draining: threading.Timer | None = None
        signal.signal(signal.SIGTERM, self._note_term)

    def handle_term(self) -> None:
        if self._draining is None and self._drain_seconds > 0:
            self._draining = threading.Timer(self._drain_seconds, self.should_exit.set)
            self._draining.daemon = True
            self._draining.start()
        else:
            super().handle_term()

    def terminate_all(self) -> None:
        # What connects from here on would wait for a worker that does not come.
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def _note_term(self, sig: int, _: FrameType | None) -> None:
        # At once: uvicorn looks at the signals every half second.
        if self._drain_seconds > 0:
            self._drain.begin()
        self.signal_queue.append(sig)


def _copies(servers: Sequence[asyncio.base_events.Server]) -> list[socket.socket]:
    """Further sockets that listen in the same place."""
    # uvloop's have no dup().
    return [socket.socket(fileno=os.dup(listener.fileno())) for server in servers for listener in server.sockets]


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
