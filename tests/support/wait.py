"""Waiting for what must become true, with a limit and a reason when it does not."""

import socket
import time


def wait_for(condition, timeout=20, what=None):
    """Calls `condition` until it gives something true, and returns that.

    The default limit is far above what a healthy run takes: the machine may be busy, and a test is not a stopwatch.
    `what`: a text, or a function that makes one, for the failure.
    """
    end = time.monotonic() + timeout
    pause = 0.01
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what or condition}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def port_open(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0
