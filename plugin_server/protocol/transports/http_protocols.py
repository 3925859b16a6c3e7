"""HTTP and WebSocket connections as uvicorn serves them, with bounds: how many, how long, how far behind.

Imported late, since uvicorn takes a moment.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from plugin_server.protocol.access import AccessPolicy
from plugin_server.protocol.transports.connections import AT_ONCE, Connections

log = logging.getLogger(__name__)

MAX_HTTP, MAX_WEBSOCKETS = 32, 64
"""Connections at one time, each kind by itself."""
REQUEST_S = 10.0
"""Seconds that a request may take to arrive, from the connection or its first byte to the end of its head, and from
there to the end of its body."""
UNREAD_S = 30.0
"""Seconds that a client may take to read what waits for it."""
IDLE_S = 5
"""Seconds that a connection is kept for another request."""
PING_S, PONG_S = 20.0, 20.0
"""Seconds between two pings of a WebSocket, and those that it may take to answer one."""
FAREWELL_S = 1.0
"""Seconds that a WebSocket has to read why it was closed."""
TRY_AGAIN_LATER, TIMEOUT = 1013, b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration, with the connections that are open and who may open one."""

    def __init__(self, app: Any, access: AccessPolicy, **options: Any) -> None:
        super().__init__(
            app,
            http=BoundedHttp,
            ws=BoundedWebSocket,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PONG_S,
            timeout_keep_alive=IDLE_S,
            backlog=AT_ONCE,
            **options,
        )
        self.access = access
        self.http_connections = Connections("HTTP", MAX_HTTP)
        self.websockets = Connections("WebSocket", MAX_WEBSOCKETS)


class _Timer:
    """One deadline of a connection, which is set and cancelled."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float, work: Callable[[], object]) -> None:
        """Call `work` after so many seconds, unless it is set already."""
        self._handle = self._handle or self._loop.call_later(seconds, work)

    def cancel(self) -> None:
        """Call nothing; no harm when it is not set."""
        if self._handle:
            self._handle.cancel()
        self._handle = None


class BoundedHttp(H11Protocol):
    """One connection of HTTP. Cuts off everybody whom the access policy does not allow."""

    def __init__(
        self,
        config: BoundedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._access, self._open = config.access, config.http_connections
        self._request_timer, self._unread_timer = _Timer(self.loop), _Timer(self.loop)
        self._timed_cycle: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit a client that the access policy allows."""
        super().connection_made(transport)
        if self.client and not self._access.allows(self.client[0]):
            transport.abort()
            return
        # So that `pause_writing` tells of everything that is not read, and not only of much.
        transport.set_write_buffer_limits(0)
        self._open.add(self)
        self._request_timer.set(REQUEST_S, self._end_request)

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request, which has to be whole in time."""
        self._open.touch(self)
        try:
            super().data_received(data)
        except Exception as error:
            # h11 and its user may differ on what a connection's state allows; nobody else suffers from it.
            log.debug("HTTP: %r", error)
            self.transport.abort()
        self._watch_request()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; a request before it that is still being answered gets nothing more."""
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over, which is counted among WebSockets from now on."""
        self._forget()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """Give the client some time to read."""
        super().pause_writing()
        self._unread_timer.set(UNREAD_S, self.make_room)

    def resume_writing(self) -> None:
        """Note that the client has read everything."""
        self._unread_timer.cancel()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client, which gets nothing more."""
        self._forget()
        super().connection_lost(exc)

    def make_room(self) -> None:
        """Close at once, whatever waits to be sent."""
        self.transport.abort()

    def close(self) -> None:
        """Close once everything is sent to it."""
        self.transport.close()

    def _watch_request(self) -> None:
        """Set the deadline of a request of which a part is there, and cancel that of one that is whole."""
        if self.cycle is not self._timed_cycle:
            self._timed_cycle = self.cycle
            self._request_timer.cancel()
        state, (unread, _) = self.conn.their_state, self.conn.trailing_data
        if state is h11.SEND_BODY or (state is h11.IDLE and unread):
            self._request_timer.set(REQUEST_S, self._end_request)
        else:
            self._request_timer.cancel()

    def _end_request(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            if self.conn.their_state is h11.IDLE:
                self.transport.write(TIMEOUT)
            self.transport.close()
        else:
            self.transport.abort()

    def _forget(self) -> None:
        self._open.remove(self)
        self._request_timer.cancel()
        self._unread_timer.cancel()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket; pings, and drops those who do not answer or do not read."""

    def __init__(
        self,
        config: BoundedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._open, self._unread_timer = config.websockets, _Timer(self.loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection from HTTP."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits()
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        """Receive frames, or parts of them."""
        try:
            super().data_received(data)
        except Exception as error:
            log.debug("WebSocket: %r", error)
            self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; answers to pings do not count as being heard of."""
        self._open.touch(self)
        super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """Drop a client that does not answer a ping, and so does not read either."""
        super().keepalive_timeout()
        self.loop.call_later(FAREWELL_S, self.transport.abort)

    def pause_writing(self) -> None:
        """Give the client some time to read."""
        super().pause_writing()
        self._unread_timer.set(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client has read most of it."""
        self._unread_timer.cancel()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client, which gets nothing more."""
        self._open.remove(self)
        self._unread_timer.cancel()
        super().connection_lost(exc)

    def make_room(self) -> None:
        """Say that there are too many, and close."""
        if self.handshake_complete and not self.close_sent:
            self.conn.fail(TRY_AGAIN_LATER, f"more than {MAX_WEBSOCKETS} WebSockets, and this was silent longest")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self.close()

    def close(self) -> None:
        """Close once everything is sent to it, or soon."""
        self.transport.close()
        self.loop.call_later(FAREWELL_S, self.transport.abort)
