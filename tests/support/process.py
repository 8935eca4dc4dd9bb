"""A child process with its output in a file, which a failing test can show."""

import os
import pathlib
import re
import signal
import subprocess

from support.wait import wait_for

# What AddressSanitizer, LeakSanitizer, ThreadSanitizer and UndefinedBehaviorSanitizer begin a report with.
REPORT = re.compile(r"(?:ERROR|WARNING): \w+Sanitizer|: runtime error: ")


class Process:
    """Starts `command`; everything it prints goes to `log`."""

    def __init__(self, command, log, **popen):
        self.command = [str(part) for part in command]
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(self.command, stdout=out, stderr=subprocess.STDOUT,
                                          stdin=subprocess.DEVNULL, start_new_session=True, **popen)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def check_reports(self):
        """Fails the test if the process, built with a sanitizer, has written a report."""
        report = REPORT.search(self.output())
        assert not report, f"{self.command[0]} wrote a report:\n{self.output()[report.start():][:4000]}"

    def tail(self, lines=20):
        return "\n".join(self.output().splitlines()[-lines:])

    def wait_until(self, condition, timeout=30, what="ready"):
        """Waits for `condition`, but no longer than the process lives."""
        def check():
            if not self.running():
                raise AssertionError(f"{self.command[0]} ended with {self.popen.returncode}:\n{self.tail()}")
            return condition()
        wait_for(check, timeout, lambda: f"{what}\n{self.tail()}")

    def signal(self, number):
        os.kill(self.pid, number)

    def freeze(self):
        """SIGSTOP, until no thread runs the program's code; what a thread does in the kernel goes on."""
        self.signal(signal.SIGSTOP)

        def still():
            states = [task.read_text().rpartition(")")[2].split()[0]
                      for task in pathlib.Path(f"/proc/{self.pid}/task").glob("*/stat")]
            return all(state in "TtDZX" for state in states)
        wait_for(still, what="every thread to stop")

    def stop(self, timeout=40):
        """SIGTERM, then the exit code."""
        if self.running():
            self.signal(signal.SIGTERM)
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command[0]} did not stop within {timeout} s:\n{self.tail()}")
        self.check_reports()
        return code

    def kill(self):
        """SIGKILL to the process and its children."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        self.check_reports()
