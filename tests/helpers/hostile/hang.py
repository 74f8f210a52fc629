#!/usr/bin/python3
"""Processes in which a system call on a file descriptor hangs: hang.py HOW DIRECTORY ADDRESS PORT [COUNT].

Mounts a FUSE file system on DIRECTORY, as fusermount3 does for any user, and becomes nobody. Then
COUNT processes listen on ADDRESS:PORT with SO_REUSEPORT, and each

  exec   is in execve(2), which waits for the FUSE server to flush a file
  lock   is in setsockopt(2), which has locked the listener, and waits for memory of a FUSE file
  close  has a FUSE file open, whose close(2) waits for the FUSE server

Prints READY and `PID FD` of each process: the descriptor of the listener; for `close`, of the file.
The hangs end when this process does. Run it as root in a mount namespace of its own.
"""
import ctypes
import mmap
import os
import select
import signal
import socket
import struct
import sys

FUSE_LOOKUP, FUSE_FORGET, FUSE_GETATTR, FUSE_OPEN, FUSE_READ = 1, 2, 3, 14, 15
FUSE_RELEASE, FUSE_FLUSH, FUSE_INIT, FUSE_INTERRUPT = 18, 25, 26, 36
NOBODY = 65534
PR_SET_PDEATHSIG = 1
TCP_MD5SIG = 14

how, directory, address, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
count = int(sys.argv[5]) if len(sys.argv) > 5 else 1
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def mount():
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fd},rootmode=40000,user_id={NOBODY},group_id={NOBODY}"
    if libc.mount(b"hang", directory.encode(), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return fd


def listen():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind((address, port))
    s.listen()
    s.set_inheritable(True)
    return s


def hang(report):
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    listener = listen()
    file = os.open(f"{directory}/{os.getpid()}", os.O_RDWR | os.O_CLOEXEC)
    fd = file if how == "close" else listener.fileno()
    os.write(report, f"{os.getpid()} {fd}\n".encode())
    if how == "exec":
        os.execv("/bin/sleep", ["sleep", "3600"])
    if how == "lock":
        # The first bytes are copied before the socket is locked, so they are in a page of their own.
        page = mmap.PAGESIZE
        start = libc.mmap(None, 2 * page, mmap.PROT_READ | mmap.PROT_WRITE,
                          mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        map_fixed = 0x10
        libc.mmap(start + page, page, mmap.PROT_READ, mmap.MAP_PRIVATE | map_fixed, file, 0)
        ctypes.memset(start + page - 8, 0, 8)
        libc.setsockopt(listener.fileno(), socket.IPPROTO_TCP, TCP_MD5SIG,
                        ctypes.c_void_p(start + page - 8), 216)
    signal.pause()


def attributes(node):
    mode = 0o40755 if node == 1 else 0o100666
    size = 1 << 16
    return struct.pack("<6Q10I", node, size, 128, 0, 0, 0, 0, 0, 0, mode, 1, NOBODY, NOBODY, 0, 4096, 0)


nodes = {}


def reply_to(opcode, node, argument):
    if opcode == FUSE_INIT:
        return struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 16, 12, 4096, 1, 1, 0, *([0] * 8))
    if opcode == FUSE_LOOKUP:
        node = nodes.setdefault(argument, len(nodes) + 2)
        return struct.pack("<4Q2I", node, 0, 3600, 3600, 0, 0) + attributes(node)
    if opcode == FUSE_GETATTR:
        return struct.pack("<Q2I", 3600, 0, 0) + attributes(node)
    if opcode == FUSE_OPEN:
        return struct.pack("<Q2I", 1, 0, 0)
    if opcode == FUSE_RELEASE:
        return b""
    return None


fuse = mount()
os.setgroups([])
os.setresgid(NOBODY, NOBODY, NOBODY)
os.setresuid(NOBODY, NOBODY, NOBODY)
reading, writing = os.pipe()
for _ in range(count):
    if os.fork() == 0:
        os.close(fuse)
        hang(writing)

hung, reports, is_ready = 0, b"", False
while True:
    ready, _, _ = select.select([fuse, reading], [], [])
    if reading in ready:
        reports += os.read(reading, 4096)
    if fuse in ready:
        request = os.read(fuse, 1 << 20)
        opcode, unique, node = struct.unpack_from("<IQQ", request, 4)
        if opcode in (FUSE_FLUSH, FUSE_READ):
            hung += 1
        elif opcode not in (FUSE_FORGET, FUSE_INTERRUPT):
            body = reply_to(opcode, node, request[40:])
            error = 0 if body is not None else -38  # ENOSYS
            body = body or b""
            os.write(fuse, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
    if not is_ready and reports.count(b"\n") == count and (how == "close" or hung >= count):
        is_ready = True
        print("READY\n" + reports.decode(), end="", flush=True)
