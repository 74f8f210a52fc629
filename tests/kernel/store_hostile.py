"""Hostile clients of the store, which write its format by hand: `store_hostile.py PATH WHAT`.

It prints each answer of the store as a line of JSON; null is the end of the connection.
"""
import array
import json
import os
import resource
import socket
import sys

path, what = sys.argv[1:]


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(20)
    s.connect(path)
    return s


def send(s, message, fds=()):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    s.sendmsg([data], rights)


def receive(s):
    try:
        data = s.recv(1 << 17)
    except ConnectionResetError:
        data = b""
    print(json.dumps(json.loads(data) if data else None), flush=True)
    return data


def put(name, **more):
    return {"v": 1, "op": "put", "name": name, **more}


null = os.open("/dev/null", os.O_RDONLY)
s = connect() if what not in ("crowd", "uid") else None

if what == "no-fds":
    send(s, put("x"))
    receive(s), receive(s)
elif what == "254-fds":
    try:
        send(s, put("x"), [null] * 254)
    except OSError as error:
        print(json.dumps({"errno": error.errno}))
    send(s, put("x"), [null] * 253)
    receive(s)
elif what == "fds-on-list":
    send(s, {"v": 1, "op": "list"}, [null] * 200)
    receive(s), receive(s)
elif what == "empty-with-fds":
    send(s, b"", [null] * 200)
    receive(s)
elif what == "long":
    send(s, b" " * 5000, [null] * 200)
    receive(s), receive(s)
elif what == "cut":
    send(s, json.dumps(put("x")).encode()[:-5], [null] * 200)
    receive(s), receive(s)
elif what == "binary":
    send(s, bytes(range(256)), [null] * 200)
    receive(s), receive(s)
elif what == "wrong-name":
    send(s, {"v": 1, "op": "take", "name": "nobody"})
    receive(s)
    send(s, put("a:b"), [null])
    receive(s), receive(s)
elif what == "version":
    send(s, {**put("x"), "v": 2}, [null])
    receive(s), receive(s)
elif what == "slow":
    # Sends requests and never reads: the store must neither block nor keep all its answers.
    asked = 0
    try:
        while asked < 100000:
            send(s, {"v": 1, "op": "list"})
            asked += 1
    except (BrokenPipeError, ConnectionResetError):
        pass
    print(json.dumps({"closed": asked < 100000}), flush=True)
elif what == "itself":
    # The connection sent over itself: no process would ever see its end.
    send(s, put("x"), [s.fileno()])
    receive(s), receive(s)
elif what == "uid":
    os.setgid(65534)
    os.setuid(65534)
    s = connect()
    receive(s), receive(s)
elif what == "crowd":
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    crowd = [connect() for _ in range(1000)]
    print(json.dumps({"connected": len(crowd)}), flush=True)
    sys.stdin.read()
