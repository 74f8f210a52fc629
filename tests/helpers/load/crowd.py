"""Clients that connect, send a request each and wait: `crowd.py PORT SOURCE COUNT FIRST`.

It reads commands from stdin: `connect` connects COUNT clients from the address SOURCE, each of
which sends its number, counted from FIRST; `disconnect` resets all of them, so that no TIME_WAIT
socket is left.
"""

import json
import resource
import socket
import struct
import sys

IP_BIND_ADDRESS_NO_PORT = 24
port, source, count, first = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
clients = []
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def connect():
    for number in range(first, first + count):
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(b"%d\n" % number)
        clients.append(client)


def disconnect():
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    clients.clear()


for line in sys.stdin:
    {"connect": connect, "disconnect": disconnect}[line.strip()]()
    print(json.dumps({"clients": len(clients)}), flush=True)
