"""Runs a command whose stdout and stderr cannot be written: unwritable.py KIND COMMAND [ARG..]

full         /dev/full: every write fails with ENOSPC
stalled      a pipe that is full, and that no process reads
closed       a pipe whose reader has gone: EPIPE
hung-up      a terminal that has gone: EIO
"""
import fcntl
import os
import pty
import sys


def stalled():
    read, write = os.pipe()
    os.set_inheritable(read, True)  # a reader there is: no EPIPE
    fcntl.fcntl(write, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        pass
    fcntl.fcntl(write, fcntl.F_SETFL, 0)
    return write


def closed():
    read, write = os.pipe()
    os.close(read)
    return write


def hung_up():
    master, slave = pty.openpty()
    os.close(master)
    return slave


KINDS = {
    "full": lambda: os.open("/dev/full", os.O_WRONLY),
    "stalled": stalled,
    "closed": closed,
    "hung-up": hung_up,
}

out = KINDS[sys.argv[1]]()
os.dup2(out, 1)
os.dup2(out, 2)
os.execvp(sys.argv[2], sys.argv[2:])
