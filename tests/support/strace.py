"""The system calls of a running process, in the order in which they began and ended."""

import re
import signal

from support.process import Process
from support.wait import wait_for


class Call:
    """One call: its name, its arguments and result as strace writes them, and the lines where it began and ended."""

    def __init__(self, name, text, begin, end):
        self.name, self.text, self.begin, self.end = name, text, begin, end

    @property
    def result(self):
        match = re.search(r"= (-?\d+)[^=]*$", self.text)
        return int(match.group(1)) if match else None


class Strace:
    """Attaches to every thread of `pid`. `calls`: as for -e trace=; `options`: further ones of strace's."""

    def __init__(self, pid, calls, folder, *options):
        self.file = folder / "strace.txt"
        self.process = Process(["strace", "-f", "-p", pid, "-e", f"trace={calls}", "-e", "signal=none", *options,
                                "-o", self.file], folder / "strace.log")
        self.process.wait_until(lambda: "attached" in self.process.output(), what="strace attached")

    def stop(self):
        """Detaches; the process goes on."""
        if self.process.running():
            self.process.signal(signal.SIGINT)
            wait_for(lambda: not self.process.running(), 30, "the end of strace")

    def calls(self):
        """Every finished call, in the order of their ends."""
        begun, found = {}, []
        for number, line in enumerate(self.file.read_text(errors="replace").splitlines()):
            match = re.match(r"(\d+) +(.*)", line)
            if not match:
                continue
            thread, text = match.groups()
            resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", text)
            if text.endswith("<unfinished ...>"):
                begun[thread] = (number, text[:-len("<unfinished ...>")])
            elif resumed:
                begin, first = begun.pop(thread, (0, resumed.group(1) + "("))
                found.append(Call(resumed.group(1), first + resumed.group(2), begin, number))
            elif "(" in text:
                found.append(Call(text.partition("(")[0], text, number, number))
        return found
