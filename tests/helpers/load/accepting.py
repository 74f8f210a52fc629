"""A server that says when it has accepted: `accepting.py PORT BACKLOG`.

Told on stdin, and answers with when, in ns of CLOCK_MONOTONIC: `listen` opens its listener;
`accept COUNT` accepts so many, reads what they sent and lets them go, `keep COUNT` reads only
when it has accepted all; `close` closes the listener.
"""

import json
import resource
import socket
import struct
import sys
import time

PATIENCE_S = 5
port, backlog = int(sys.argv[1]), int(sys.argv[2])
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
listener = None
numbers = set()
accepted = 0


def listen():
    global listener
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Not settimeout(), which would poll before each accept().
    patience = struct.pack("ll", PATIENCE_S, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
    listener.bind(("127.0.0.1", port))
    listener.listen(backlog)
    return time.monotonic_ns()


def read(connection):
    """The number its client sent; what has not arrived by now is lost."""
    connection.setblocking(False)
    try:
        numbers.add(int(connection.recv(64)))
    except (OSError, ValueError):
        pass
    connection.close()


def take(count, keep):
    global accepted
    kept = []
    numbers.clear()
    accepted = 0
    last = 0
    try:
        while accepted < count:
            connection, _ = listener.accept()
            accepted += 1
            if keep:
                kept.append(connection)
            else:
                read(connection)
        last = time.monotonic_ns()
    except BlockingIOError:
        pass  # nobody comes any more
    for connection in kept:
        read(connection)
    return last


def close():
    before = time.monotonic_ns()
    listener.close()
    return before


for line in sys.stdin:
    what, *count = line.split()
    if what in ("accept", "keep"):
        at = take(int(count[0]), what == "keep")
    else:
        at = {"listen": listen, "close": close}[what]()
    done = time.monotonic_ns()
    answer = {"at": at, "done": done, "accepted": accepted, "requests": len(numbers)}
    print(json.dumps(answer), flush=True)
