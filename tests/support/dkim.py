"""DKIM in the tests: keys as files, their records in the zone of a ScriptedDns, and verifiers that others wrote."""

import pathlib
import re
import subprocess

import dkim

from support.api import request
from support.node import BINARY
from support.post import token

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "tests/e2e/peers"


class Keys:
    """A folder of keys, made by `hikyaku dkim keygen`. `zone`: their records, as ScriptedDns wants them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.zone = {}

    def path(self, selector, domain):
        return self.folder / f"{selector}.{domain}.pem"

    def make(self, selector, domain, ed25519=False):
        done = subprocess.run([BINARY, "dkim", "keygen", domain, "--selector", selector, "--folder", self.folder,
                               *(["--ed25519"] if ed25519 else [])], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        # NAME. IN TXT ( "…" "…" )
        name, data = done.stdout.split(". IN TXT ( ")
        self.zone[name] = {"TXT": [data.strip().removesuffix(")").strip()]}
        return self.path(selector, domain)

    def records(self):
        """{name: text}."""
        return {name: "".join(entry["TXT"][0].split('"')[1::2]) for name, entry in self.zone.items()}


def verify(mail, keys, folder):
    """(exit code, lines) of `hikyaku dkim verify` with these keys."""
    zone = pathlib.Path(folder) / "keys.zone"
    zone.write_text("".join(f"{name}. IN TXT ( {entry['TXT'][0]} )\n" for name, entry in keys.zone.items()))
    done = subprocess.run([BINARY, "dkim", "verify", "-", "--zone", zone], input=mail, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode().splitlines()


def signature_tags(data):
    """The tags of each DKIM-Signature, from the top, unfolded."""
    head = data.split(b"\r\n\r\n", 1)[0].decode()
    fields = re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")
    found = [field.split(":", 1)[1] for field in fields if field.lower().startswith("dkim-signature:")]
    return [{name.strip(): value.strip() for name, value in (tag.split("=", 1) for tag in text.split(";") if "=" in tag)}
            for text in found]


def sent(post, to="r@ok.test", sender="alice@ours.test", **fields):
    """A mail by gRPC, as its receiver got it."""
    word = token()
    post.api.send(request(sender, to=[to], subject=word, **fields))
    return post.wait_mail(word).data


class Verifiers:
    """What others say of mails in files: "pass", or why not. All signatures of a mail must be one that they know."""

    def __init__(self, folder, keys):
        self.keys = keys
        self.resolv_conf = pathlib.Path(folder) / "resolv.conf"
        self.resolv_conf.write_text("nameserver 127.0.0.1\n")

    def run(self, *command, **options):
        """With the test's DNS server as the system's."""
        inner = 'mount --bind "$0" "$(readlink -f /etc/resolv.conf)"; exec "$@"'
        return subprocess.run(["unshare", "--mount", "--propagation", "private", "bash", "-ec", inner, self.resolv_conf,
                               *command], capture_output=True, timeout=280, **options)

    def opendkim(self, files):
        """OpenDKIM's library. It says nothing where all is well."""
        said = {}
        for file in files:
            with open(file, "rb") as mail:
                done = self.run("opendkim-testmsg", stdin=mail)
            said[file] = "pass" if done.returncode == 0 and not done.stderr else (done.stderr + done.stdout).decode()
        return said

    def dkimpy(self, files):
        records = {f"{name}.".encode(): text.encode() for name, text in self.keys.records().items()}
        said = {}
        for file in files:
            verifier = dkim.DKIM(pathlib.Path(file).read_bytes(), minkey=1024)
            count = sum(name.lower() == b"dkim-signature" for name, _ in verifier.headers)
            try:
                passed = count and all(verifier.verify(i, dnsfunc=lambda name, timeout=5: records.get(name))
                                       for i in range(count))
                said[file] = "pass" if passed else "fail"
            except dkim.DKIMException as error:
                said[file] = f"{type(error).__name__}: {error}"
        return said

    def mail_dkim(self, files):
        """Perl's Mail::DKIM."""
        return self.script("perl", PEERS / "dkim_verify.pl", files)

    def mailauth(self, files):
        """npm's mailauth."""
        return self.script("node", PEERS / "dkim_verify.js", files)

    def script(self, interpreter, script, files):
        done = self.run("env", f"NODE_PATH={ROOT / '.deps/peers/node_modules'}", interpreter, script, *files)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        said = dict(line.split("\t", 1) for line in done.stdout.decode().splitlines())
        assert set(said) == {str(file) for file in files}
        return {file: said[str(file)] for file in files}
