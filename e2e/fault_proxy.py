"""The way from an agent to a server that can be lost as networks are: without a word, or with a refusal."""

from __future__ import annotations

import socket
import struct
import threading

from ports import free_address

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def _shut(one: socket.socket) -> None:
    """Also wakes who reads it. The other end may have done it before."""
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class FaultProxy:
    """Carries connections from `address` to `target`, and meanwhile what a test says:

    silence(): connections stay and new ones are taken, but no byte passes, nor the news that an end has closed;
    refuse():  connections are reset and new ones refused;
    heal():    all is as before; what was sent in silence arrives now.
    """

    def __init__(self, target: str) -> None:
        self.address = free_address()
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.heal()

    def silence(self) -> None:
        self._flows.clear()

    def refuse(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
            if listener is not None:
                _shut(listener)
                listener.close()
            for one in self._sockets:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
                _shut(one)
        self._flows.set()

    def heal(self) -> None:
        with self._lock:
            if self._listener is None:
                host, port = self.address.rsplit(":", 1)
                self._listener = socket.create_server((host, int(port)))
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        self._flows.set()

    stop = refuse

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._flows.wait()
        host, port = self._target.rsplit(":", 1)
        with near:
            try:
                far = socket.create_connection((host, int(port)), timeout=10)
            except OSError:
                return
            far.settimeout(None)
            with far:
                both = {near, far}
                with self._lock:
                    if self._listener is None:
                        return
                    self._sockets |= both
                back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
                back.start()
                self._pump(near, far)
                back.join()
                with self._lock:
                    self._sockets -= both

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
            self._flows.wait()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._flows.wait()
            _shut(source)
            _shut(sink)
