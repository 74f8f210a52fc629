"""Many listeners of one group, and clients that count which of them serves: `shares.py ADDRESS PORT`.

It reads commands from stdin: `open COUNT` and `close COUNT` (the oldest ones) change the listeners;
`lock` sets SO_LOCK_FILTER on all of them, so that no program can be attached through one;
`connect COUNT` opens clients that wait; `serve` accepts until every client is served or lost, and
answers with the connections of each listener, in the order in which they were opened.
"""

import json
import resource
import select
import socket
import struct
import sys

IP_BIND_ADDRESS_NO_PORT = 24
address, port = sys.argv[1], int(sys.argv[2])
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
listeners, clients = [], []
PATIENCE_S = 20


def open_listeners(count):
    for _ in range(count):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, port))
        listener.listen(256)
        listener.setblocking(False)
        listeners.append(listener)
    return {"cookies": [cookie_of(each) for each in listeners[-count:]]}


def cookie_of(listener, SO_COOKIE=57):
    return str(struct.unpack("Q", listener.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0])


def close_listeners(count):
    for listener in listeners[:count]:
        listener.close()
    del listeners[:count]
    return {}


def lock(SO_LOCK_FILTER=44):
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
    return {}


def connect(count):
    """From many addresses: the kernel's hash of one of them has no more values than it has ports."""
    for i in range(count):
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((f"127.0.0.{i % 250 + 1}", 0))
        client.settimeout(PATIENCE_S)
        try:
            client.connect((address, port))
            clients.append(client)
        except OSError:
            lost.append(client)
    return {}


lost = []


def serve():
    """Each connection is answered with the index of its listener."""
    waiting = select.epoll()
    index = {}
    for i, listener in enumerate(listeners):
        waiting.register(listener, select.EPOLLIN)
        index[listener.fileno()] = i
    served = 0
    while served < len(clients):
        ready = waiting.poll(PATIENCE_S)
        if not ready:
            break
        for fd, _ in ready:
            try:
                connection, _ = listeners[index[fd]].accept()
            except BlockingIOError:
                continue
            connection.sendall(struct.pack("I", index[fd]))
            connection.close()
            served += 1
    counts = [0] * len(listeners)
    failed = len(lost)
    for client in clients:
        try:
            client.settimeout(1)
            answer = client.recv(4)
        except OSError:
            answer = b""
        if len(answer) == 4:
            counts[struct.unpack("I", answer)[0]] += 1
        else:
            failed += 1
        # No TIME_WAIT socket is left.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    clients.clear()
    lost.clear()
    return {"served": counts, "lost": failed}


COMMANDS = {
    "open": open_listeners,
    "close": close_listeners,
    "lock": lock,
    "connect": connect,
    "serve": serve,
}
for line in sys.stdin:
    name, *count = line.split()
    print(json.dumps(COMMANDS[name](*map(int, count))), flush=True)
