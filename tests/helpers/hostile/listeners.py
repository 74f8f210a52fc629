#!/usr/bin/python3
"""Listens on many loopback addresses with one port: listeners.py KIND PORT COUNT [FIRST].

KIND: plain; locked (SO_LOCK_FILTER, so that no program can be attached); filter (a classic BPF
filter is attached to the group); mptcp. The addresses are 127.0.x.y, from number FIRST on. Prints
READY and then sleeps.
"""
import ctypes
import socket
import struct
import sys
import time

SO_LOCK_FILTER = 44
SO_ATTACH_REUSEPORT_CBPF = 51
IPPROTO_MPTCP = 262

kind, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
first = int(sys.argv[4]) if len(sys.argv) > 4 else 256
program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # return 0
fprog = struct.pack("HL", 1, ctypes.addressof(program))
sockets = []
for number in range(first, first + count):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP if kind == "mptcp" else 0)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if kind == "locked":
        s.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
    s.bind((f"127.0.{number // 250}.{number % 250 + 2}", port))
    s.listen()
    if kind == "filter":
        s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, fprog)
    sockets.append(s)
print("READY", flush=True)
time.sleep(3600)
