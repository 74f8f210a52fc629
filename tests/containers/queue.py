"""A listener closes while clients wait in its accept queue: `queue.py PORT GO`.

A second listener of the port accepts. The first one never does, and closes once the file GO exists.
Prints how many of the clients were answered, and how many were not.
"""

import json
import os
import select
import socket
import sys
import time

CLIENTS = 40
port, go = int(sys.argv[1]), sys.argv[2]


def listener():
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen(2 * CLIENTS)
    return made


def client():
    made = socket.create_connection(("127.0.0.1", port))
    made.sendall(b"?")
    return made


def answer():
    connection, _ = new.accept()
    with connection:
        connection.recv(1)
        connection.sendall(b"!")


def is_answered(waiting):
    try:
        return waiting.recv(1) == b"!"
    except ConnectionResetError:
        return False


old = listener()
waiting = {client() for _ in range(CLIENTS)}
new = listener()
while not os.path.exists(go):
    time.sleep(0.05)
old.close()
counts = {"answered": 0, "lost": 0}
while waiting:
    for ready in select.select([new, *waiting], [], [])[0]:
        if ready is new:
            answer()
        else:
            waiting.remove(ready)
            counts["answered" if is_answered(ready) else "lost"] += 1
print(json.dumps(counts))
