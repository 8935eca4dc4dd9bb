"""Mail servers that others wrote, as receivers: each with a folder of its own, gone when it stops."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from support.node import BINARY
from support.process import Process
from support.wait import port_open, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOBODY = 65534


class Receiver:
    """A running server. `mails()`: every mail it has stored, as bytes with CRLF line ends."""


    def __init__(self, domain, address):
        self.domain, self.address = domain, address
        # Not below pytest's folder, which only root may enter.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hikyaku-receiver-"))
        self.folder.chmod(0o755)
        self.process = None

    def run(self, *command, **options):
        self.process = Process(command, self.folder / "log", **options)
        self.process.wait_until(lambda: port_open(self.address, 25), 60, f"{type(self).__name__} at {self.address}:25")
        return self

    def mails(self):
        return [file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for file in self.files()]

    def files(self):
        return sorted(self.folder.glob("mail/new/*"))

    def output(self):
        return self.process.output() if self.process else ""

    def stop(self):
        if self.process:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postfix(Receiver):
    """A whole Postfix with one mailbox for every address of the domain."""

    SERVICES = """25 inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
"""

    def start(self):
        for name in ("etc", "spool", "lib", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "lib", "postfix")
        os.chown(self.folder / "mail", NOBODY, NOBODY)
        settings = {
            "compatibility_level": "3.6", "queue_directory": self.folder / "spool",
            "data_directory": self.folder / "lib",
            "myhostname": f"mx.{self.domain}", "mydestination": "", "inet_interfaces": self.address, "alias_maps": "",
            "alias_database": "", "mynetworks": "127.0.0.0/8", "virtual_mailbox_domains": self.domain,
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "virtual_mailbox_base": self.folder, "virtual_mailbox_maps": "static:mail/", "virtual_minimum_uid": "100",
            "virtual_uid_maps": f"static:{NOBODY}", "virtual_gid_maps": f"static:{NOBODY}",
            "maillog_file": self.folder / "maillog", "maillog_file_prefixes": self.folder, **self.settings(),
        }
        (self.folder / "etc/main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        (self.folder / "etc/master.cf").write_text(self.SERVICES)
        # Postfix goes to the background by itself.
        subprocess.run(["postfix", "-c", self.folder / "etc", "start"], check=True, capture_output=True, timeout=60)
        wait_for(lambda: port_open(self.address, 25), 60, self.output)
        return self

    def settings(self):
        return {}

    def output(self):
        log = self.folder / "maillog"
        return log.read_text(errors="replace") if log.exists() else ""

    def stop(self):
        subprocess.run(["postfix", "-c", self.folder / "etc", "stop"], capture_output=True, timeout=60)
        super().stop()


class PostfixTls(Postfix):
    """With STARTTLS as `identity` (support.certificates)."""

    identity = None

    def settings(self):
        certificate, key = self.identity.files
        return {"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": f"{key}, {certificate}",
                "smtpd_tls_received_header": "yes", "smtpd_tls_session_cache_database": ""}


class OpenSmtpd(Receiver):
    """OpenSMTPD, unpacked beside Postfix, with which it cannot be installed. Its fixed paths are mounts of its own.

    Without TLS: Debian 12's fails every handshake ("EVP lib"), also with `openssl s_client`, whatever its key."""

    INNER = """set -e
for folder in /var/lib /var/spool /usr/libexec /run; do mount -t tmpfs -o mode=755 none $folder; done
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 711 /var/spool/smtpd
cp -r "$2/usr/libexec/opensmtpd" /usr/libexec/opensmtpd
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
exec "$2/usr/sbin/smtpd" -d -f "$1/smtpd.conf"
"""

    def start(self):
        unpacked = ROOT / ".deps/opensmtpd"
        assert (unpacked / "usr/sbin/smtpd").exists(), f"no {unpacked}: tools/setup --tests"
        users = {"opensmtpd": (64901, "/"), "opensmtpq": (64902, "/"), "mailbox": (64903, self.folder / "home")}
        for name in ("passwd", "group"):
            lines = pathlib.Path("/etc", name).read_text()
            for user, (number, home) in users.items():
                rest = f"{number}:{number}::{home}:/bin/sh" if name == "passwd" else f"{number}:"
                lines += f"{user}:x:{rest}\n"
            (self.folder / name).write_text(lines)
        (self.folder / "home").mkdir()
        os.chown(self.folder / "home", 64903, 64903)
        (self.folder / "smtpd.conf").write_text(
            f"listen on {self.address} port 25 hostname mx.{self.domain}\n"
            f'action "keep" maildir "{self.folder}/home/mail" virtual {{ "@" = "mailbox" }}\n'
            f'match from any for domain "{self.domain}" action "keep"\n')
        return self.run("unshare", "--mount", "--propagation", "private", "bash", "-c", self.INNER, "smtpd",
                        self.folder, unpacked)

    def files(self):
        return sorted(self.folder.glob("home/mail/new/*"))


def own_files(identity, folder, user):
    """Copies of the files of an Identity in `folder`, which `user` may read: certificate and key."""
    copies = [pathlib.Path(shutil.copy(file, folder)) for file in identity.files]
    for copy in copies:
        os.chown(copy, user, user)
    return copies


class Exim(Receiver):
    """Exim, unpacked beside Postfix, with which it cannot be installed. It asks the test's DNS server for DKIM keys, and logs
    DKIM=DOMAIN for each signature that passes."""

    identity = None  # Of support.certificates: STARTTLS with it.

    INNER = 'mount --bind "$0" "$(readlink -f /etc/resolv.conf)"; exec "$@"'

    SETTINGS = """primary_hostname = mx.DOMAIN
local_interfaces = ADDRESS
daemon_smtp_ports = 25
exim_path = FOLDER/exim4
spool_directory = FOLDER/spool
log_file_path = FOLDER/log-%s
exim_user = EXIM
exim_group = EXIM
never_users =
acl_smtp_rcpt = check_rcpt
acl_smtp_data = check_data
accept_8bitmime
domainlist here = DOMAIN
message_size_limit = 100M
smtp_accept_queue_per_connection = 0
TLS

begin acl
check_rcpt:
  accept domains = +here
  deny
check_data:
  accept

begin routers
mailbox:
  driver = accept
  domains = +here
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = FOLDER/mail
  create_directory
  maildir_format
  user = EXIM
  group = EXIM
"""

    def start(self):
        unpacked = ROOT / ".deps/exim4-daemon-light"
        assert (unpacked / "usr/sbin/exim4").exists(), f"no {unpacked}: tools/setup --tests"
        # It runs itself again as another user, who may not enter root's folders.
        shutil.copy(unpacked / "usr/sbin/exim4", self.folder / "exim4")
        (self.folder / "spool").mkdir()
        for path in (self.folder, self.folder / "spool"):
            os.chown(path, NOBODY, NOBODY)
        settings = self.SETTINGS
        tls = "tls_advertise_hosts ="
        if self.identity:
            certificate, key = own_files(self.identity, self.folder, NOBODY)
            tls = f"tls_advertise_hosts = *\ntls_certificate = {certificate}\ntls_privatekey = {key}"
        for word, value in {"TLS": tls, "DOMAIN": self.domain, "ADDRESS": self.address, "FOLDER": self.folder, "EXIM": NOBODY}.items():
            settings = settings.replace(word, str(value))
        config = self.folder / "exim.conf"
        config.write_text(settings)
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        return self.run("unshare", "--mount", "--propagation", "private", "bash", "-ec", self.INNER,
                        self.folder / "resolv.conf", self.folder / "exim4", "-C", config, "-bdf", "-q1m")

    def output(self):
        log = self.folder / "log-main"
        return super().output() + (log.read_text(errors="replace") if log.exists() else "")


class Sendmail(Receiver):
    """Sendmail, unpacked beside Postfix, with which it cannot be installed, with the configuration that its own m4 files make.

    Its local mailer has no flag 9, by which it decodes what was quoted-printable, signed or not."""

    SETTINGS = """OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mx.DOMAIN')dnl
define(`confPID_FILE', `FOLDER/pid')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe')dnl
define(`QUEUE_DIR', `FOLDER/queue')dnl
define(`STATUS_FILE', `FOLDER/statistics')dnl
define(`HELP_FILE', `')dnl
define(`confCW_FILE', `-o FOLDER/none')dnl
define(`confCT_FILE', `-o FOLDER/none')dnl
define(`confTO_IDENT', `0s')dnl
define(`confFORWARD_PATH', `')dnl
define(`_DEF_LOCAL_MAILER_FLAGS', `lsDFMq')dnl
define(`LOCAL_MAILER_PATH', `FOLDER/keep')dnl
define(`LOCAL_MAILER_ARGS', `keep $u')dnl  Without $u it would speak SMTP to it.
define(`LOCAL_MAILER_FLAGS', `Prmn')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`nocanonify')dnl
DAEMON_OPTIONS(`Name=MTA, Family=inet, Address=ADDRESS, Port=25')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
CwDOMAIN
"""
    # It asks for the name of the machine that it runs on before it reads its configuration.
    INNER = """for file in hosts resolv.conf; do mount --bind "$0/$file" "$(readlink -f /etc/$file)"; done
hostname "$1"
exec "${@:2}"
"""
    KEEP = """#!/bin/sh
set -e
cd FOLDER/mail
cat >tmp/$$
mv tmp/$$ new/$(date +%s%N).$$
"""

    def start(self):
        unpacked = [ROOT / ".deps/sendmail-bin", ROOT / ".deps/sendmail-cf"]
        for folder in unpacked:
            assert folder.exists(), f"no {folder}: tools/setup --tests"
        for name in ("queue", "mail", "mail/tmp", "mail/new"):
            (self.folder / name).mkdir()
        (self.folder / "queue").chmod(0o700)
        (self.folder / "none").touch()
        for name, text in {"sendmail.mc": self.SETTINGS, "keep": self.KEEP}.items():
            for word, value in {"DOMAIN": self.domain, "ADDRESS": self.address, "FOLDER": self.folder}.items():
                text = text.replace(word, str(value))
            (self.folder / name).write_text(text)
        (self.folder / "keep").chmod(0o755)
        for name in ("mail/tmp", "mail/new"):
            (self.folder / name).chmod(0o777)
        macros = unpacked[1] / "usr/share/sendmail/cf"
        with (self.folder / "sendmail.cf").open("wb") as config:
            subprocess.run(["m4", f"-D_CF_DIR_={macros}/", macros / "m4/cf.m4", self.folder / "sendmail.mc"], check=True, stdout=config,
                           timeout=60)
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} mx.{self.domain}\n")
        return self.run("unshare", "--mount", "--uts", "--pid", "--kill-child", "--propagation", "private", "bash", "-ec", self.INNER, self.folder,
                        f"mx.{self.domain}", unpacked[0] / "usr/libexec/sendmail/sendmail", f"-C{self.folder}/sendmail.cf", "-bD", "-q1m")


class Haraka(Receiver):
    """Haraka from npm, which keeps what it takes in a Maildir."""

    identity = None  # Of support.certificates: STARTTLS with it.
    KEEP = """
const fs = require('fs')
exports.register = function () {
  this.register_hook('rcpt', 'here')
  this.register_hook('queue', 'keep')
}
exports.here = (next, connection, params) => next(params[0].host === 'DOMAIN' ? OK : DENY)
exports.keep = (next, connection) => {
  const file = `FOLDER/mail/tmp/${connection.transaction.uuid}`
  const out = fs.createWriteStream(file)
  out.on('close', () => fs.rename(file, file.replace('mail/tmp', 'mail/new'), (error) => next(error ? DENYSOFT : OK)))
  connection.transaction.message_stream.pipe(out)
}
"""

    def start(self):
        home = ROOT / ".deps/peers/node_modules/Haraka"
        assert home.exists(), f"no {home}: tools/setup --tests"
        shutil.copytree(home / "config", self.folder / "config")
        limits = self.folder / "config/connection.ini"
        limits.write_text(limits.read_text().replace("data_line_length=992", "data_line_length=1000"))  # RFC 5321 §4.5.3.1.6.
        (self.folder / "plugins").mkdir()
        (self.folder / "mail/new").mkdir(parents=True)
        (self.folder / "mail/tmp").mkdir()
        keep = self.KEEP.replace("DOMAIN", self.domain).replace("FOLDER", str(self.folder))
        files = {"plugins/keep.js": keep, "config/plugins": "tls\nkeep\n" if self.identity else "keep\n", "config/me": f"mx.{self.domain}\n",
                 "config/smtp.ini": f"listen={self.address}:25\nnodes=0\n", "config/log.ini": "[main]\nlevel=notice\n",
                 "config/outbound.ini": "disabled=true\n"}
        for name, text in files.items():
            (self.folder / name).write_text(text)
        if self.identity:
            for name, file in zip(("tls_cert.pem", "tls_key.pem"), self.identity.files, strict=True):
                shutil.copy(file, self.folder / "config" / name)
        return self.run("node", home / "bin/haraka", "-c", self.folder, cwd=self.folder)


class Aiosmtpd(Receiver):
    """Python's server, as its own command starts it."""

    def start(self):
        return self.run("/usr/bin/python3", "-m", "aiosmtpd", "--nosetuid", "--smtputf8",
                        "--listen", f"{self.address}:25", *self.options(), "--class", "aiosmtpd.handlers.Mailbox",
                        self.folder / "mail")

    def options(self):
        return []


class AiosmtpdTls(Aiosmtpd):
    """With STARTTLS as `identity` (support.certificates), without which it takes no mail."""

    identity = None

    def options(self):
        certificate, key = self.identity.files
        return ["--tlscert", certificate, "--tlskey", key]


class SmtpSink(Receiver):
    """Postfix's test receiver, which saves a mail a file, behind some lines of its own."""

    def start(self):
        (self.folder / "mail").mkdir()
        return self.run("smtp-sink", "-4", "-u", "root", "-d", f"{self.folder}/mail/%s.",
                        f"{self.address}:25", "100")

    def files(self):
        """Those that it has finished."""
        open_ones = set()
        for descriptor in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # Closed meanwhile: after the listing, which is no trouble.
                open_ones.add(os.readlink(descriptor))
        return sorted(file for file in self.folder.glob("mail/*") if file.stat().st_size and str(file) not in open_ones)

    def mails(self):
        """Without the line end that it puts behind each mail."""
        return [mail[:-2] for mail in super().mails()]


class HikyakuSink(Receiver):
    """Our own test receiver."""

    def start(self):
        return self.run(BINARY, "sink", "--listen", f"{self.address}:25", "--no-words",
                        "--maildir", self.folder / "mail")
