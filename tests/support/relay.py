"""Relays and proxies that ask who comes: a Postfix that demands a login, HAProxy, microsocks."""

import pathlib
import shutil
import tempfile

from support.process import Process
from support.receivers import Postfix
from support.wait import port_open

LOGIN = """
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
"""


class PostfixRelay(Postfix):
    """Takes mail for every domain from who has logged in: on 587 after STARTTLS, on 465 with TLS from the first octet, and on 2587 also
    in the clear. `identity`: its certificate; `sasl`: the socket of the Dovecot that knows the users."""

    SERVICES = (Postfix.SERVICES
                + "587 inet n - n - - smtpd\n  -o smtpd_tls_security_level=encrypt" + LOGIN
                + "465 inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes" + LOGIN
                + "2587 inet n - n - - smtpd\n  -o smtpd_tls_security_level=none\n  -o smtpd_tls_auth_only=no" + LOGIN)

    def __init__(self, domain, address, identity, sasl):
        super().__init__(domain, address)
        self.identity, self.sasl = identity, sasl

    def settings(self):
        certificate, key = self.identity.files
        return {"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": f"{key}, {certificate}",
                "smtpd_tls_session_cache_database": "", "smtpd_tls_auth_only": "yes", "smtpd_sasl_type": "dovecot",
                "smtpd_sasl_path": self.sasl, "smtpd_sasl_security_options": "noanonymous",
                "virtual_mailbox_domains": "static:all", "smtpd_sasl_authenticated_header": "yes",
                "smtpd_relay_restrictions": "permit_sasl_authenticated,reject"}

    def logins(self):
        """The mechanism of every login, in order."""
        return [line.partition("sasl_method=")[2].partition(",")[0] for line in self.output().splitlines()
                if "sasl_method=" in line]


class Proxy:
    """Started with `command`; gone with `stop`."""

    def __init__(self, address, port):
        self.address, self.port = address, port
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hikyaku-proxy-"))
        self.process = None

    def run(self, *command):
        self.process = Process(command, self.folder / "log")
        self.process.wait_until(lambda: port_open(self.address, self.port), 30, f"{command[0]}")
        return self

    def stop(self):
        if self.process:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Haproxy(Proxy):
    """Goes where the PROXY header says, and comes from there too."""

    def start(self):
        (self.folder / "haproxy.cfg").write_text(f"""
global
  log stdout format raw local0
defaults
  mode tcp
  log global
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen egress
  bind {self.address}:{self.port} accept-proxy
  source 0.0.0.0 usesrc clientip
  server out 0.0.0.0:0
""")
        return self.run("haproxy", "-db", "-f", self.folder / "haproxy.cfg")


class Microsocks(Proxy):
    """With user and password, or without."""

    def start(self, user=None, password=None):
        login = ["-u", user, "-P", password] if user else []
        return self.run("microsocks", "-i", self.address, "-p", str(self.port), *login)
