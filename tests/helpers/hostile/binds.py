#!/usr/bin/python3
"""Binds a socket to ADDRESS:PORT and closes it, without a pause: binds.py HOW ADDRESS PORT.

HOW: bind; or listen, so that each socket is a listener for a moment. Prints READY, and then how many
sockets it has bound, once a second.
"""
import socket
import sys
import time

how, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("READY", flush=True)
count, next_report = 0, 0.0
while True:
    for _ in range(100):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind((address, port))
        if how == "listen":
            s.listen()
        s.close()
    count += 100
    if time.monotonic() >= next_report:
        print(f"BOUND {count}", flush=True)
        next_report = time.monotonic() + 1
