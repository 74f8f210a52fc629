"""An HTTP server in Python with SO_REUSEPORT: `graceful_python.py PORT ADDRESS...`.

The e2e tests of --hold stop and start it (tests/e2e/restartable_recipes.ts). It has one thread per
connection and prints `accepted PORT` for each. On SIGTERM it closes its listeners, answers the
connections it has accepted, and exits. A listener on `::` takes IPv4 connections too.
"""

import os
import selectors
import signal
import socket
import sys
import threading


def listen(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
    listener.bind((address, port))
    listener.listen(511)  # as Node and nginx; a client beyond it waits for its retransmission
    listener.setblocking(False)
    return listener


def answer(connection):
    """Answers with the path of the request and closes."""
    request = b""
    with connection:
        try:
            while not request.endswith(b"\r\n\r\n"):
                chunk = connection.recv(4096)
                if not chunk:
                    return
                request += chunk
            path = request.split(b" ", 2)[1]
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(path)
            connection.sendall(head + path)
        except OSError:
            pass  # the client reports a loss


def accept(listener):
    """Accepts every queued connection."""
    while True:
        try:
            connection, peer = listener.accept()
        except BlockingIOError:
            return
        os.write(1, b"accepted %d\n" % peer[1])
        connection.setblocking(True)
        threading.Thread(target=answer, args=(connection,)).start()


# A signal wakes the selector, as a connection does, so it never interrupts accept() or answer().
woken, waker = socket.socketpair()
waker.setblocking(False)
signal.set_wakeup_fd(waker.fileno())
signal.signal(signal.SIGTERM, lambda *_: None)
events = selectors.DefaultSelector()
events.register(woken, selectors.EVENT_READ)
listeners = [listen(address, int(sys.argv[1])) for address in sys.argv[2:]]
for each in listeners:
    events.register(each, selectors.EVENT_READ)
while True:
    ready = [key.fileobj for key, _ in events.select()]
    if woken in ready:
        break
    for each in ready:
        accept(each)
for each in listeners:
    each.close()
