"""Short HTTP connections at a fixed rate: `paced.py JSON`.

JSON is `{"ports": [8001], "rate": 1000, "seconds": 3}`, and perhaps `"timeout": 5`.
It is an open loop: a slow response delays no other connection. The ports are visited equally often
and in random order, so a disturbance affects all of them alike. It prints, by port, how long each
response took from connect() (us), and the results of the connections without a response.
"""

import errno
import gc
import json
import random
import select
import socket
import sys
import time

# A reset is noticed at once; this is for a connection that gets no answer.
DEFAULT_TIMEOUT_S = 5
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
KINDS = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset"}

asked = json.loads(sys.argv[1])
ports, rate, seconds = asked["ports"], asked["rate"], asked["seconds"]
latencies = {port: [] for port in ports}
lost = {port: {} for port in ports}
pending = {}
epoll = select.epoll()


class Visit:
    """One connection, from connect() to its end."""

    def __init__(self, port):
        self.port = port
        self.sent = False
        self.answered = False
        self.begin = time.monotonic_ns()
        self.socket = socket.socket()
        self.socket.setblocking(False)
        failure = self.socket.connect_ex(("127.0.0.1", port))
        if failure not in (0, errno.EINPROGRESS):
            self.end(KINDS.get(failure, "other"))
            return
        pending[self.socket.fileno()] = self
        # On the loopback device the handshake is often complete by now.
        events = select.EPOLLIN if self.send() else select.EPOLLIN | select.EPOLLOUT
        if self.socket.fileno() >= 0:
            epoll.register(self.socket.fileno(), events)

    def send(self):
        try:
            self.socket.send(REQUEST)
        except BlockingIOError:
            return False
        except OSError as error:
            self.end(KINDS.get(error.errno, "other"))
            return True
        self.sent = True
        return True

    def happened(self):
        if not self.sent:
            if self.send() and self.sent:
                epoll.modify(self.socket.fileno(), select.EPOLLIN)
            return
        try:
            data = self.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(KINDS.get(error.errno, "other"))
            return
        if not data:
            # The server closes first, so that TIME_WAIT sockets use none of our ports.
            self.end(None if self.answered else "short")
        elif data.startswith(b"HTTP/1.1 200 "):
            self.answered = True
            latencies[self.port].append((time.monotonic_ns() - self.begin) // 1000)

    def end(self, kind):
        pending.pop(self.socket.fileno(), None)
        self.socket.close()
        # A connection that ends after its response is not lost.
        if kind and not self.answered:
            lost[self.port][kind] = lost[self.port].get(kind, 0) + 1


def handle(timeout):
    # select(2) sleeps to the microsecond, epoll.poll() to the millisecond.
    if timeout > 0:
        select.select([epoll], [], [], timeout)
    for fd, _ in epoll.poll(0):
        if fd in pending:
            pending[fd].happened()


gc.disable()
start = time.monotonic()
total = int(rate * seconds)
opened = 0
while opened < total:
    due = min(total, int((time.monotonic() - start) * rate) + 1)
    if opened < due:
        turn = opened % len(ports)
        if turn == 0:
            random.shuffle(ports)
        Visit(ports[turn])
        opened += 1
        handle(0)
    else:
        handle(start + opened / rate - time.monotonic())
took = time.monotonic() - start
deadline = time.monotonic() + asked.get("timeout", DEFAULT_TIMEOUT_S)
while pending and time.monotonic() < deadline:
    handle(0.01)
for visit in list(pending.values()):
    visit.end("timeout")
answer = [{"port": port, "latencies": latencies[port], "lost": lost[port]} for port in sorted(ports)]
print(json.dumps({"seconds": took, "ports": answer}))
