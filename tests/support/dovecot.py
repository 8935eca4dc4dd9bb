"""A private Dovecot: LMTP over TCP and over a socket, and the logins (SASL) for a Postfix that asks it."""

import os
import pathlib
import shutil
import tempfile

from support.process import Process
from support.wait import port_open, wait_for

NOBODY = 65534


class Dovecot:
    """`users`: name → password. Mail for NAME@any domain lies in `mails(NAME)`. The user "broken" has a mailbox that cannot be
    written: it is accepted at RCPT and fails at the end of the mail."""

    identity = None  # Of support.certificates: LMTP offers STARTTLS with it.

    def __init__(self, address, users):
        self.address, self.users = address, dict(users, broken="none")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hikyaku-dovecot-"))
        self.folder.chmod(0o755)
        self.socket = self.folder / "run/lmtp"
        self.auth = self.folder / "run/sasl"
        self.process = None

    def write_users(self):
        (self.folder / "users").write_text("".join(
            f"{name}:{{PLAIN}}{word}:{NOBODY}:{NOBODY}::{self.home(name)}\n" for name, word in self.users.items()))

    def home(self, name):
        return "/proc/nobody" if name == "broken" else self.folder / "home" / name

    def tls(self):
        if not self.identity:
            return "ssl = no"
        certificate, key = self.identity.files
        return f"ssl = yes\nssl_cert = <{certificate}\nssl_key = <{key}"

    def start(self):
        self.write_users()
        for name in ("home", "state"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, NOBODY, NOBODY)
        (self.folder / "dovecot.conf").write_text(f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.folder}/dovecot.log
protocols = lmtp
{self.tls()}
listen = {self.address}
mail_location = maildir:~/mail
auth_mechanisms = plain login scram-sha-256
auth_username_format = %n
disable_plaintext_auth = no
first_valid_uid = 100
passdb {{
  driver = passwd-file
  args = username_format=%n {self.folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {self.folder}/users
}}
service anvil {{
  chroot =
}}
service lmtp {{
  inet_listener lmtp {{
    address = {self.address}
    port = 24
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener sasl {{
    mode = 0666
  }}
}}
""")
        self.process = Process(["dovecot", "-F", "-c", self.folder / "dovecot.conf"], self.folder / "log")
        self.process.wait_until(lambda: port_open(self.address, 24) and self.auth.exists(), 60, "dovecot's LMTP")
        return self

    def mails(self, name):
        return [file.read_bytes() for file in sorted(self.folder.glob(f"home/{name}/mail/new/*"))]

    def wait_mails(self, name, count):
        return wait_for(lambda: len(self.mails(name)) >= count and self.mails(name), 30, self.output)

    def output(self):
        log = self.folder / "dovecot.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def stop(self):
        if self.process:
            self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
