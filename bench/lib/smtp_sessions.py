"""Many SMTP sessions in one thread, each with one mail of 4 KiB under way at any time; prints codes and times as JSON.

Usage: smtp_sessions.py HOST PORT SESSIONS SECONDS
"""

import collections
import json
import selectors
import socket
import sys
import time

ENVELOPE = b"MAIL FROM:<alice@ours.test>\r\nRCPT TO:<bob@bench.test>\r\nDATA\r\n"
MESSAGE = b"From: <alice@ours.test>\r\nSubject: x\r\n\r\n" + (b"x" * 62 + b"\r\n") * 63 + b".\r\n"


class Session:
    """A dialogue by replies. After a refusal it waits a second, as a patient client would."""

    def __init__(self, load, number):
        self.load, self.number = load, number
        self.open()

    def open(self):
        self.buffer, self.replies, self.next = b"", [], 0
        self.socket = socket.socket()
        self.socket.bind((f"127.2.{self.number // 250}.{self.number % 250 + 1}", 0))
        self.socket.settimeout(30)
        self.socket.connect(self.load.address)
        self.socket.setblocking(False)
        self.load.selector.register(self.socket, selectors.EVENT_READ, self)
        self.state = "greeting"

    def envelope(self):
        self.replies, self.state = [], "envelope"
        self.socket.send(ENVELOPE)

    def message(self):
        self.state, self.begin = "dot", time.monotonic()
        self.socket.send(MESSAGE)

    def readable(self):
        try:
            data = self.socket.recv(4096)
        except OSError:
            data = b""
        if not data:
            return self.gone()
        self.buffer += data
        while b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            if line[3:4] != b"-":
                self.reply(line[:3].decode())

    def reply(self, code):
        if code == "421":
            self.load.codes[code] += 1
            return
        if self.state == "greeting":
            self.state = "hello"
            self.socket.send(b"EHLO load.test\r\n")
        elif self.state == "hello":
            self.envelope()
        elif self.state == "envelope":
            self.replies.append(code)
            if len(self.replies) == 3:
                self.enveloped()
        elif self.state == "dot":
            self.load.codes[code] += 1
            if code == "250":
                self.load.took.append(time.monotonic() - self.begin)
                self.envelope()
            else:
                self.rest()

    def enveloped(self):
        if self.replies[2] == "354":
            return self.message()
        self.load.codes[next(code for code in self.replies if code[0] in "45")] += 1
        self.rest()

    def rest(self):
        self.state = "rest"
        self.load.later.append((time.monotonic() + 1, self.envelope))

    def gone(self):
        self.load.selector.unregister(self.socket)
        self.socket.close()
        self.load.later.append((time.monotonic() + 1, self.open))


class Load:
    def __init__(self, address, sessions):
        self.address, self.selector = address, selectors.DefaultSelector()
        self.codes, self.took, self.later = collections.Counter(), [], collections.deque()
        for number in range(sessions):
            Session(self, number)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in self.selector.select(0.1):
                key.data.readable()
            while self.later and self.later[0][0] <= time.monotonic():
                self.later.popleft()[1]()


def main():
    load = Load((sys.argv[1], int(sys.argv[2])), int(sys.argv[3]))
    load.run(float(sys.argv[4]))
    print(json.dumps({"codes": load.codes, "took": load.took[-200_000:]}))


if __name__ == "__main__":
    main()
