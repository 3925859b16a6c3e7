"""OSCQuery over HTTP, and OSC over a WebSocket, on one port of the daemon's own event loop."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plugin_server.errors import BadPacket, ClipsonicError, short_repr
from plugin_server.protocol.access import LOOPBACK_V6, AccessPolicy
from plugin_server.protocol.packets import MAX_PACKET
from plugin_server.protocol.transports.connections import BACKLOG
from plugin_server.protocol.transports.oscquery import OscQuery
from plugin_server.protocol.transports.receiver import PacketReceiver
from plugin_server.untrusted_files import parse_json

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

log = logging.getLogger(__name__)

MAX_UNSENT = 1000
"""Packets that may wait for a slow WebSocket before it is dropped."""
PAUSE_UNSENT = 250
"""Packets from which on no more commands are read from a client that does not read its replies."""
UNREAD_S = 30.0
"""Seconds that a client may take to read what waits for it, before it is dropped."""
MAX_READ = 32_768
"""Bytes that a connection may have sent before they are read; the system doubles it."""
STOP_S = 0.5
"""Seconds that connections have to end by themselves when the daemon stops."""


@dataclass(frozen=True, slots=True, eq=False)
class WebPeer:
    """A WebSocket, answered with binary frames."""

    host: str
    unsent: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(MAX_UNSENT))
    dropped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_behind(self) -> bool:
        """Whether many replies wait to be read."""
        return self.unsent.qsize() > PAUSE_UNSENT

    def send(self, packet: bytes) -> None:
        """Queue for sending; a client that does not read is cut off."""
        if self.dropped.is_set():
            return
        if self.unsent.full():
            self.drop()
        else:
            self.unsent.put_nowait(packet)

    def drop(self) -> None:
        """Cut off a client that does not read."""
        log.warning("a WebSocket client does not read its replies and was dropped")
        self.dropped.set()


class HttpApp:
    """The HTTP application: answers GET as OSCQuery does, and takes WebSockets on every path."""

    def __init__(
        self, query: OscQuery, receiver: PacketReceiver, access: AccessPolicy, names: Sequence[str] = ()
    ) -> None:
        """Take what answers; `names` are those of this machine that a request may be for, besides its addresses."""
        self._query, self._receiver, self._access = query, receiver, access
        self._names = {"localhost", *(name.lower() for name in names)}

    def asgi(self) -> "Starlette":
        """Return the application as ASGI. Imports Starlette, which takes a moment."""
        from starlette.applications import Starlette
        from starlette.routing import Route, WebSocketRoute

        return Starlette(routes=[Route("/{path:path}", self._get), WebSocketRoute("/{path:path}", self._websocket)])

    def is_same_origin(self, connection: "HTTPConnection") -> bool:
        """Return False for a request that a foreign web page sent.

        It names another host, as after DNS rebinding, or its origin is another one than this.
        """
        host = connection.headers.get("host", "")
        origin = connection.headers.get("origin", f"http://{host}")
        return self._is_own_host(host) and origin.lower() == f"http://{host}".lower()

    def _is_own_host(self, host: str) -> bool:
        name = host.lower().removesuffix(f":{host.rpartition(':')[2]}") if not host.endswith("]") else host
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in self._names
        # An address cannot be rebound: only names can.
        return address.is_loopback or self._access.lan

    async def _get(self, request: "Request") -> "Response":
        from starlette.responses import JSONResponse, PlainTextResponse, Response

        if not self.is_same_origin(request):
            return PlainTextResponse("this is for programs of this machine and its own pages\n", 403)
        attributes = [part.partition("=")[0] for part in request.url.query.split("&") if part]
        try:
            answer = self._query.answer(request.url.path, attributes)
        except Exception:
            # Here, since the server's own log is not heard.
            log.exception("HTTP %s", request.url.path)
            return PlainTextResponse("something unforeseen went wrong\n", 500)
        return Response(status_code=answer.status) if answer.body is None else JSONResponse(answer.body)

    async def _websocket(self, websocket: "WebSocket") -> None:
        if websocket.client is None or not self.is_same_origin(websocket):
            await websocket.close()
            return
        await websocket.accept()
        peer = WebPeer(websocket.client.host)
        coroutines = (self._read(websocket, peer), _write(websocket, peer), peer.dropped.wait())
        tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for error in [None if task.cancelled() else task.exception() for task in done]:
                if error and not isinstance(error, RuntimeError | ConnectionError):
                    log.error("WebSocket", exc_info=error)
        finally:
            self._receiver.disconnect(peer)
            for task in tasks:
                task.cancel()

    async def _read(self, websocket: "WebSocket", peer: WebPeer) -> None:
        while (message := await websocket.receive())["type"] == "websocket.receive":
            await self._dispatch_frame(message["text"] if message.get("bytes") is None else message["bytes"], peer)
            # Frames that wait already are received without a pause: thousands of commands in one burst would keep
            # the loop for themselves.
            await asyncio.sleep(0)

    async def _dispatch_frame(self, frame: str | bytes, peer: WebPeer) -> None:
        """Serve a packet, or run a command of OSCQuery in JSON; one that cannot be run is answered by `/fail`."""
        if isinstance(frame, bytes):
            served = asyncio.Event()
            self._receiver.follow(_one_packet(frame, served), peer)
            try:
                await asyncio.wait_for(served.wait(), UNREAD_S)
            except TimeoutError:
                peer.drop()
            return
        try:
            self._run_command(frame, peer)
        except ClipsonicError as error:
            self._receiver.refuse(peer, error)

    def _run_command(self, text: str, peer: WebPeer) -> None:
        try:
            command = parse_json(text.encode("utf-8", "surrogatepass"))
            name, address = command["COMMAND"], command["DATA"]
        except (ValueError, TypeError, KeyError) as error:
            raise BadPacket(f'frame: got {short_repr(text)}, expected {{"COMMAND": ..., "DATA": ...}}') from error
        if name not in ("LISTEN", "IGNORE") or not isinstance(address, str):
            raise BadPacket(
                f"COMMAND: got {short_repr(name)} with {short_repr(address)}, expected LISTEN or IGNORE, an address"
            )
        (self._receiver.listen if name == "LISTEN" else self._receiver.ignore)(peer, address)


def _one_packet(packet: bytes, served: asyncio.Event) -> Iterator[bytes]:
    """Yield a packet, and say when it is served."""
    yield packet
    served.set()


async def _write(websocket: "WebSocket", peer: WebPeer) -> None:
    from starlette.websockets import WebSocketDisconnect

    # A client may go at any moment; the reading side sees it too, and ends the connection.
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await websocket.send_bytes(await peer.unsent.get())


class WebServer:
    """The HTTP server: its port is open at once, uvicorn answers as soon as it is imported."""

    def __init__(self, access: AccessPolicy, port: int) -> None:
        """Take the access policy, and the port to listen on."""
        self._access, self._requested_port = access, port
        self._sockets: list[socket.socket] = []
        self.port = 0
        """The port that is open; 0 before the start, and when none can be had."""
        self.state = "starts"
        """'starts', 'listens', or what went wrong."""
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, app: HttpApp) -> None:
        """Open the port, or a free one where another program has it, and answer soon.

        The log names a port that is not the requested one. Clients that connect before uvicorn runs wait.
        """
        self._sockets = _open_sockets(self._access.bind, self._requested_port)
        if not self._sockets:
            self.state = "no port can be opened"
            return
        self.port = self._sockets[0].getsockname()[1]
        self._task = asyncio.create_task(self._serve(app))

    async def stop(self) -> None:
        """End every connection and close the port."""
        if self._server:
            self._server.should_exit = True
        elif self._task:
            self._task.cancel()
        if self._task:
            await asyncio.wait([self._task])
        for each in self._sockets:
            each.close()

    async def _serve(self, app: HttpApp) -> None:
        try:
            # In a thread: OSC is answered meanwhile.
            self._server = await asyncio.to_thread(_build_server, app, self._access)
            self.state = "listens"
            await self._server.serve(self._sockets)
        except Exception as error:
            # Clips are made all the same.
            self.state = f"failed: {error!r}"
            log.warning("HTTP does not work: %r", error)


def _build_server(app: HttpApp, access: AccessPolicy) -> "uvicorn.Server":
    """Return uvicorn's server; to be called in a thread, since its imports take a moment."""
    import uvicorn

    from plugin_server.protocol.transports.http_protocols import BoundedConfig

    class Server(uvicorn.Server):
        """Does not handle signals: that is the daemon's part."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            for each in sockets or ():
                each.listen(BACKLOG)

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

    config = BoundedConfig(
        app.asgi(),
        access,
        ws_max_size=MAX_PACKET,
        lifespan="off",
        log_config=None,
        access_log=False,
        # Who asks is decided by the connection alone, never by a header.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
    config.load()
    return Server(config)


def _open_sockets(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets on IPv4, and on IPv6's loopback where there is one.

    Browsers try IPv6 first when they are told `localhost`. Empty when no port can be opened.
    """
    try:
        first = _bind(socket.AF_INET, host, port)
    except OSError as error:
        try:
            first = _bind(socket.AF_INET, host, 0)
        except OSError as second:
            log.warning("HTTP does not work: %s", second)
            return []
        why = "may not be opened by this user" if error.errno == errno.EACCES else "is taken by another program"
        log.warning("HTTP port %d %s; HTTP is on %d now; --http-port chooses", port, why, first.getsockname()[1])
    try:
        return [first, _bind(socket.AF_INET6, LOOPBACK_V6, first.getsockname()[1])]
    except OSError:
        return [first]


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # Connections have this, too. All frames that one read brings are parsed in one go.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MAX_READ)
    return listening
