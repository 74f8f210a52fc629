"""A TCP server that acts on command and reports when it did: `timed_server.py PORT BACKLOG`.

The benchmarks close_queue and held use it, through timed_server.ts, for queues of thousands of
connections. It reads commands from stdin and answers each with times (ns, CLOCK_MONOTONIC):
`listen` opens the listener; `accept COUNT` accepts COUNT connections, reads and closes each at
once; `keep COUNT` reads them after it has accepted all; `close` closes the listener.
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
    """Records the number the client sent; a number that has not arrived by now counts as lost."""
    connection.setblocking(False)
    try:
        numbers.add(int(connection.recv(64)))
    except (OSError, ValueError):
        pass
    connection.close()


def accept(count, keep):
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
        pass  # no client connected for PATIENCE_S
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
        at = accept(int(count[0]), what == "keep")
    else:
        at = {"listen": listen, "close": close}[what]()
    done = time.monotonic_ns()
    answer = {"atNs": at, "doneNs": done, "accepted": accepted, "requests": len(numbers)}
    print(json.dumps(answer), flush=True)
