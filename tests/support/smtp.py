"""SMTP by hand: a raw client for what no library would send, and a scripted receiver that keeps raw bytes."""

import hashlib
import re
import socket
import socketserver
import threading
import time

from support.wait import wait_for


class Client:
    """A connection that sends bytes as they are and reads whole replies."""

    def __init__(self, address, banner=True, timeout=20, source=None):
        self.socket = socket.create_connection(address, timeout=timeout, source_address=source)
        self.buffer = b""
        if banner:
            self.banner = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def line(self):
        """One line with its end; b"" at the end of the connection."""
        while b"\n" not in self.buffer:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                line, self.buffer = self.buffer, b""
                return line
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line + b"\n"

    def reply(self):
        """(code, text of all its lines); (0, "") at the end of the connection."""
        texts = []
        while True:
            line = self.line()
            if not line:
                return 0, "\n".join(texts)
            match = re.fullmatch(rb"(\d{3})([ -])(.*)\r\n", line)
            assert match, f"not a reply line: {line!r}"
            texts.append(match.group(3).decode())
            if match.group(2) == b" ":
                return int(match.group(1)), "\n".join(texts)

    def command(self, line):
        self.send(line if isinstance(line, bytes) and line.endswith(b"\r\n") else
                  (line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply()

    def hello(self, name="client.test"):
        code, text = self.command(f"EHLO {name}")
        assert code == 250, (code, text)
        return text

    def envelope(self, sender, *recipients):
        """MAIL and RCPTs, each of which must be accepted."""
        assert self.command(f"MAIL FROM:<{sender}>")[0] == 250
        for recipient in recipients:
            code, text = self.command(f"RCPT TO:<{recipient}>")
            assert code == 250, (recipient, code, text)

    def message(self, data):
        """DATA, then `data` as it is with the final dot; the reply to the dot."""
        code, text = self.command("DATA")
        assert code == 354, (code, text)
        self.send(data)
        self.send(b"\r\n.\r\n" if not data.endswith(b"\r\n" if isinstance(data, bytes) else "\r\n") else b".\r\n")
        return self.reply()

    def closed(self, within=5):
        """Whether the other side closes within this time."""
        self.socket.settimeout(within)
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def send_mail(address, sender, recipients, data, timeout=30):
    """One mail over a connection of its own; the reply to the final dot."""
    with Client(address, timeout=timeout) as client:
        client.hello()
        client.envelope(sender, *recipients)
        answer = client.message(data)
        client.command("QUIT")
        return answer


class Mail:
    """What a Sink took responsibility for."""

    tls = None  # The version that it came over.

    def __init__(self, sender, recipients, raw, parameters):
        self.sender, self.recipients = sender, recipients
        self.raw = raw                # Between DATA's 354 and the final dot, as on the wire, still dot-stuffed.
        self.parameters = parameters  # Of MAIL.
        self.data = re.sub(rb"(?m)^\.", b"", raw)
        self.time = time.monotonic()

    @property
    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()

    @property
    def body(self):
        return self.data.split(b"\r\n\r\n", 1)[1]

    def header(self, name):
        """Values of all fields of this name, unfolded."""
        head = re.sub(rb"\r\n([ \t])", rb"\1", self.data.split(b"\r\n\r\n", 1)[0])
        return [line.split(b":", 1)[1].strip().decode(errors="replace") for line in head.split(b"\r\n")
                if line.lower().startswith(name.lower().encode() + b":")]


class Sink:
    """A receiver whose every answer a test can choose.

    script: a function (stage, argument, session) → an answer, or None for the usual one. Stages: "connect", "EHLO",
    "HELO", "MAIL", "RCPT", "DATA", "BDAT", "dot", "RSET", "QUIT". An answer: "450 4.2.0 later", "drop" (close at once),
    "hang" (answer nothing until the client goes), or a number of seconds to wait before the usual answer.
    on_told: called with a mail right after its 250 was sent.
    tls: an ssl.SSLContext; STARTTLS is then offered, or with `implicit` each connection begins with the handshake.
    """

    def __init__(self, address, port=25, script=None, extensions=("PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING",
                                                                   "ENHANCEDSTATUSCODES", "SIZE 52428800"), tls=None, implicit=False):
        self.tls, self.implicit = tls, implicit
        self.script = script or (lambda stage, argument, session: None)
        self.extensions = extensions
        self.on_told = lambda mail: None
        self.mails = []      # Accepted ones, in order.
        self.commands = []   # (connection number, line) of every command.
        self.connections = 0
        self.active = 0
        self.most_active = 0
        self.sockets = set()  # Of the connections that are open.
        self.lock = threading.Lock()
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True  # Else each second reply to a pipelined group waits 40 ms for an ACK.

            def handle(self):
                with sink.lock:
                    sink.connections += 1
                    number = sink.connections
                    sink.active += 1
                    sink.most_active = max(sink.most_active, sink.active)
                    sink.sockets.add(self.request)
                session = Session(sink, self.rfile, self.wfile, number)
                session.socket = self.request
                try:
                    if sink.implicit:
                        session.start_tls()
                    session.run()
                except (ConnectionError, EOFError, TimeoutError):
                    pass
                finally:
                    with sink.lock:
                        sink.active -= 1
                        sink.sockets -= {self.request, session.socket}
                    session.socket.close()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 512
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

        self.server = Server((address, port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def hang_up(self):
        """Closes every connection without a word, and waits until that is done."""
        with self.lock:
            for each in self.sockets:
                each.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not self.sockets, what="connections closed")

    def recipients(self):
        """Every recipient of every mail, with repeats."""
        return [recipient for mail in list(self.mails) for recipient in mail.recipients]


class Session:
    def __init__(self, sink, rfile, wfile, number):
        self.sink, self.rfile, self.wfile, self.number = sink, rfile, wfile, number
        self.socket = self.tls = None
        self.reset()

    def start_tls(self):
        """A handshake; then all goes over it."""
        clear = self.socket
        try:
            self.socket = self.sink.tls.wrap_socket(clear, server_side=True)
        except OSError as error:
            raise EOFError from error
        with self.sink.lock:
            self.sink.sockets = self.sink.sockets - {clear} | {self.socket}
        self.tls = self.socket.version()
        self.rfile, self.wfile = self.socket.makefile("rb"), self.socket.makefile("wb")
        self.reset()

    def reset(self):
        self.sender, self.recipients, self.parameters, self.chunks = None, [], "", []

    def say(self, text):
        self.wfile.write((text + "\r\n").encode())
        self.wfile.flush()

    def answer(self, stage, argument, usual):
        """Says the scripted answer or the usual one; the code that was said, as text."""
        scripted = self.sink.script(stage, argument, self)
        if scripted == "drop":
            raise EOFError
        if scripted == "hang":
            while self.rfile.read(1):
                pass
            raise EOFError
        if isinstance(scripted, (int, float)):
            time.sleep(scripted)
            scripted = None
        text = scripted or usual
        self.say(text)
        if text.startswith("421"):
            raise EOFError
        return text[:3]

    def run(self):
        if self.answer("connect", "", "220 sink.test ESMTP")[0] != "2":
            return
        while True:
            line = self.rfile.readline(65536)
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\r\n")
            with self.sink.lock:
                self.sink.commands.append((self.number, text))
            verb, _, argument = text.partition(" ")
            if not self.one(verb.upper(), argument):
                return

    def one(self, verb, argument):
        if verb == "EHLO":
            offer = ["STARTTLS"] if self.sink.tls and not self.tls else []
            lines = ["sink.test", *self.sink.extensions, *offer]
            self.answer("EHLO", argument, "\r\n".join(
                f"250{'-' if i + 1 < len(lines) else ' '}{line}" for i, line in enumerate(lines)))
        elif verb == "STARTTLS" and self.sink.tls:
            if self.answer("STARTTLS", argument, "220 2.0.0 go ahead") == "220":
                self.start_tls()
        elif verb == "HELO":
            self.answer("HELO", argument, "250 sink.test")
        elif verb == "MAIL":
            if self.answer("MAIL", argument, "250 2.1.0 ok") == "250":
                self.reset()
                self.sender = re.search(r"<(.*?)>", argument).group(1)
                self.parameters = argument.partition(">")[2].strip()
        elif verb == "RCPT":
            recipient = re.search(r"<(.*)>", argument).group(1)
            if self.answer("RCPT", recipient, "250 2.1.5 ok") == "250":
                self.recipients.append(recipient)
        elif verb == "DATA":
            self.data()
        elif verb == "BDAT":
            self.bdat(argument)
        elif verb == "RSET":
            self.answer("RSET", "", "250 2.0.0 ok")
            self.reset()
        elif verb == "QUIT":
            self.answer("QUIT", "", "221 2.0.0 bye")
            return False
        else:
            self.answer(verb, argument, "250 2.0.0 ok" if verb == "NOOP" else "502 5.5.1 what?")
        return True

    def data(self):
        if not self.recipients:
            self.answer("DATA", "", "554 5.5.1 no valid recipients")
            return
        if self.answer("DATA", "", "354 go on") != "354":
            return
        raw = b""
        while True:
            line = self.rfile.readline()
            if not line:
                raise EOFError
            if line == b".\r\n":
                break
            raw += line
        self.finish(raw)

    def bdat(self, argument):
        size, _, last = argument.partition(" ")
        chunk = self.rfile.read(int(size))
        if len(chunk) < int(size):
            raise EOFError
        if not self.recipients:
            self.answer("BDAT", "", "554 5.5.1 no valid recipients")
            return
        self.chunks.append(chunk)
        if last.upper() != "LAST":
            self.answer("BDAT", "", "250 2.0.0 go on")
            return
        self.finish(re.sub(rb"(?m)^\.", b"..", b"".join(self.chunks)))

    def finish(self, raw):
        mail = Mail(self.sender, self.recipients, raw, self.parameters)
        mail.tls = self.tls
        scripted = self.sink.script("dot", "", self)
        # A mail counts before its 250 is sent, as with any receiver that keeps its word.
        if scripted is None or isinstance(scripted, (int, float)) or str(scripted).startswith("2"):
            with self.sink.lock:
                self.sink.mails.append(mail)
        self.reset()
        if scripted == "drop":
            raise EOFError
        if scripted == "hang":
            while self.rfile.read(1):
                pass
            raise EOFError
        if isinstance(scripted, (int, float)):
            time.sleep(scripted)
            scripted = None
        text = scripted or f"250 2.0.0 taken {len(self.sink.mails)}"
        self.say(text)
        if text.startswith("2"):
            self.sink.on_told(mail)
        if text.startswith("421"):
            raise EOFError
