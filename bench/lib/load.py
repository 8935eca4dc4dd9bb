"""The load that every relay gets: Postfix's smtp-source before it, Postfix's smtp-sink behind it."""

import os
import pathlib
import re
import resource
import subprocess
import time

from lib import paths  # noqa: F401
from support.node import BINARY
from support.process import Process
from support.wait import port_open

SINK = ("127.0.0.1", 2500)


class SmtpSink:
    """The receiver behind all; its own count says how many mails it has taken."""

    TAIL = 200

    def __init__(self, folder, address=SINK):
        self.log = pathlib.Path(folder) / "sink.log"
        self.log.unlink(missing_ok=True)
        self.process = Process(["smtp-sink", "-u", "nobody", "-c", f"{address[0]}:{address[1]}", "1000"], self.log)
        self.process.wait_until(lambda: port_open(*address), what="smtp-sink")

    @property
    def pid(self):
        return self.process.pid

    def count(self):
        with open(self.log, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - self.TAIL))
            found = re.findall(rb"mesg=(\d+)\r", log.read())
        return int(found[-1]) if found else 0

    def wait(self, goal, timeout):
        """Until `goal` mails are there; looks every 5 ms, since the clock of a measurement waits for it."""
        end = time.monotonic() + timeout
        while self.count() < goal:
            if time.monotonic() > end:
                raise AssertionError(f"{goal} mails at the sink within {timeout} s: {self.count()}")
            time.sleep(0.005)

    def stop(self):
        self.process.kill()


class TlsSink:
    """The receiver for what must come by TLS, which smtp-sink does not speak: `hikyaku sink`, which ends after `mails`."""

    def __init__(self, folder, mails, *options, address=SINK):
        self.log = pathlib.Path(folder) / "sink.log"
        self.process = Process([BINARY, "sink", "--tls", "--listen", f"{address[0]}:{address[1]}", "--until", str(mails),
                                "--count-only", *options], self.log)
        self.process.wait_until(lambda: port_open(*address), what="hikyaku sink")

    @property
    def pid(self):
        return self.process.pid

    def wait(self, goal, timeout):
        """Until it says that it has `goal` mails: within 10 ms of the last one."""
        end = time.monotonic() + timeout
        while f"mails {goal}" not in self.log.read_text():
            if time.monotonic() > end:
                raise AssertionError(f"{goal} mails at the sink within {timeout} s: {self.log.read_text()}")
            time.sleep(0.005)

    def stop(self):
        self.process.kill()


def smtp_source(address, mails, sessions, size, recipient="bob@bench.test"):
    """Sends them over kept sessions. Gives the seconds it took and the CPU seconds that it used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(["smtp-source", "-d", "-s", str(sessions), "-m", str(mails), "-l", str(size), "-f", "alice@ours.test",
                    "-t", recipient, f"{address[0]}:{address[1]}"], check=True)
    took = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
