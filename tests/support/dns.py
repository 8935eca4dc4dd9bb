"""DNS for the tests: dnsmasq for what a real server can say, and a scripted server for what only a broken one says."""

import pathlib
import socket
import socketserver
import struct
import threading
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from support.process import Process


class Dnsmasq:
    """dnsmasq on 127.0.0.1:53 with these records; every other name below .test does not exist.

    records: {"ok.test": {"MX": [(10, "mx.ok.test")]}, "mx.ok.test": {"A": ["20.0.0.10"], "AAAA": []}, …}
    """

    def __init__(self, folder, records, port=53):
        self.folder = pathlib.Path(folder)
        self.port = port
        self.process = None
        self.records = records

    def start(self):
        lines = [f"port={self.port}", "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts",
                 "local=/test/", "user=root", "log-queries", "log-facility=-", "local-ttl=1"]
        for name, kinds in self.records.items():
            lines += [f"mx-host={name},{host},{preference}" for preference, host in kinds.get("MX", [])]
            lines += [f"host-record={name},{address}" for kind in ("A", "AAAA") for address in kinds.get(kind, [])]
        config = self.folder / "dnsmasq.conf"
        config.write_text("\n".join(lines) + "\n")
        self.process = Process(["dnsmasq", "--keep-in-foreground", f"--conf-file={config}", "--pid-file="],
                               self.folder / "dnsmasq.log")
        self.process.wait_until(lambda: "started" in self.process.output(), what="dnsmasq")
        return self

    def queries(self, name):
        """How many queries for `name` it has seen."""
        return sum(f"] {name} from" in line for line in self.process.output().splitlines() if "query[" in line)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process = None


class ScriptedDns:
    """A DNS server whose answers a test chooses, broken ones too, and can change while it runs.

    `zone` maps a name to {"MX": [(10, "mx.x.test")], "A": ["20.0.0.1"], …}, or to one of the words
    "SERVFAIL", "REFUSED", "TIMEOUT" (no answer), "TRUNCATE" (TC=1 over UDP, the records of zone[name + "/tcp"] over
    TCP), "TRUNCATE_ONLY" (TC=1, and TCP is refused). Names that are not there get NXDOMAIN.
    """

    def __init__(self, zone, address="127.0.0.1", port=53):
        self.zone = zone
        self.silent = False  # Answers nobody while set.
        self.asked = []  # (time, name, type, "udp" or "tcp"), in order.
        handler = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                data, sock = self.request
                answer = handler.answer(data, "udp")
                if answer:
                    sock.sendto(answer, self.client_address)

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self):
                size = self.request.recv(2, socket.MSG_WAITALL)
                if len(size) < 2:
                    return
                answer = handler.answer(self.request.recv(struct.unpack("!H", size)[0], socket.MSG_WAITALL), "tcp")
                if answer:
                    self.request.sendall(struct.pack("!H", len(answer)) + answer)

        class UdpServer(socketserver.ThreadingUDPServer):
            allow_reuse_address, daemon_threads = True, True

        class TcpServer(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

        self.servers = [UdpServer((address, port), Udp), TcpServer((address, port), Tcp)]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, data, transport):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((time.monotonic(), name, kind, transport))
        entry = self.zone.get(name)
        reply = dns.message.make_response(query, recursion_available=True)
        if entry == "TIMEOUT" or self.silent:
            return None
        if entry in ("TRUNCATE", "TRUNCATE_ONLY"):
            if transport == "udp":
                reply.flags |= dns.flags.TC
                return reply.to_wire()
            if entry == "TRUNCATE_ONLY":
                return None
            entry = self.zone[name + "/tcp"]
        if entry in ("SERVFAIL", "REFUSED"):
            reply.set_rcode(getattr(dns.rcode, entry))
            return reply.to_wire()
        if entry is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            return reply.to_wire()
        values = [f"{v[0]} {v[1]}." if kind == "MX" and v[1] != "." else f"{v[0]} ." if kind == "MX" else str(v)
                  for v in entry.get(kind, [])]
        if values:
            reply.answer.append(dns.rrset.from_text(question.name, entry.get("TTL", 1), "IN", kind, *values))
        wire = reply.to_wire(max_size=65535)
        if transport == "udp" and len(wire) > 1232:
            short = dns.message.make_response(query, recursion_available=True)
            short.flags |= dns.flags.TC
            return short.to_wire()
        return wire

    def count(self, name=None, kind=None):
        return sum((name is None or n == name) and (kind is None or k == kind) for _, n, k, _ in self.asked)

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
