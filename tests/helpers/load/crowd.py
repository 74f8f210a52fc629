"""Many clients that connect, send a request and wait: `crowd.py PORT SOURCE COUNT FIRST`.

Told on stdin: `come`, when all are connected and have sent their number, counted from FIRST;
`go`, when all are gone, by a reset, so that no TIME_WAIT is left of them.
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


def come():
    for number in range(first, first + count):
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(b"%d\n" % number)
        clients.append(client)


def go():
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    clients.clear()


for line in sys.stdin:
    {"come": come, "go": go}[line.strip()]()
    print(json.dumps({"clients": len(clients)}), flush=True)
