"""An HTTPS server for MTA-STS policies, and for reports on TLS that are POSTed: one address for many domains, each with a
certificate and answers of its own."""

import http.server
import ssl
import threading

from support.certificates import Identity

PATH = "/.well-known/mta-sts.txt"


def policy(mode="enforce", mx=(), max_age=86400):
    return "".join(f"{line}\r\n" for line in ("version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in mx),
                                              f"max_age: {max_age}"))


class PolicyHost:
    """`pages`: host name → (status, headers, body); `asked`: (host name, path) of each request.

    Of POST: `answers`: host name → (status, headers) for each request in turn, or an Event that is waited for before
    nothing is said; 201 when they are used up. `posted`: (host name, path, headers, body) of each."""

    def __init__(self, folder, authority, address="20.0.0.30", port=443):
        self.folder, self.authority = folder, authority
        self.pages, self.asked, self.contexts, self.answers, self.posted = {}, [], {}, {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def setup(self):
                self.request.settimeout(20)
                self.request.do_handshake()  # Here: in the thread of this connection.
                super().setup()

            def do_GET(self):
                host = self.headers["Host"]
                outer.asked.append((host, self.path))
                status, headers, body = outer.pages.get(host, (404, {}, "nothing here"))
                self.send_response(status)
                for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self):
                host = self.headers["Host"]
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posted.append((host, self.path, self.headers, body))
                answers = outer.answers.get(host)
                answer = answers.pop(0) if answers else (201, {})
                if isinstance(answer, threading.Event):
                    answer.wait(120)
                    self.close_connection = True
                    return
                self.send_response(answer[0])
                for name, value in {"Content-Length": "0", **answer[1]}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # A client that broke off the handshake.

        self.default = Identity(folder, "policy-host", ["nobody.test"], issuer=authority).context()
        self.default.sni_callback = self.choose
        self.server = Server((address, port), Handler)
        self.server.socket = self.default.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def choose(self, connection, name, _):
        connection.context = self.contexts.get(name, self.default)

    def publish(self, domain, text, status=200, headers=None, identity=None):
        """The answer for mta-sts.`domain`, under a good certificate for it or `identity`."""
        host = f"mta-sts.{domain}"
        self.pages[host] = (status, headers or {}, text)
        identity = identity or Identity(self.folder, host, [host], issuer=self.authority)
        self.contexts[host] = identity.context()

    def take_posts(self, host, *answers, identity=None):
        """Lets `host` be posted to, under a good certificate for it or `identity`."""
        identity = identity or Identity(self.folder, host, [host], issuer=self.authority)
        self.contexts[host] = identity.context()
        self.answers[host] = list(answers)

    def posts(self, host):
        return [post[1:] for post in list(self.posted) if post[0] == host]

    def count(self, domain):
        return sum(host == f"mta-sts.{domain}" for host, _ in list(self.asked))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
