"""A certificate authority of the test's own, made by openssl, as an operator would."""

import os
import pathlib
import subprocess


def openssl(*arguments, text=None):
    subprocess.run(["openssl", *(str(a) for a in arguments)], check=True, capture_output=True, text=True, input=text)


class Authority:
    def __init__(self, folder, name="cluster"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name, self.certificate, self.key = name, self.folder / f"{name}-ca.crt", self.folder / f"{name}-ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30, "-subj",
                f"/CN={name} CA", "-keyout", self.key, "-out", self.certificate)

    def issue(self, folder, names=(), days=10, trust=None):
        """Puts ca.crt, tls.crt and tls.key into `folder`, each by a rename; gives what queue.tls says of them. `names`:
        subjectAltName as openssl writes them, DNS:a or IP:b. `trust`: other authorities than this one to believe."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        new = {name: folder / f"new-{name}" for name in ("ca.crt", "tls.crt", "tls.key")}
        request, extensions = folder / "request.pem", folder / "extensions"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=hikyaku",
                "-keyout", new["tls.key"], "-out", request)
        extensions.write_text("extendedKeyUsage=serverAuth,clientAuth\n"
                              + (f"subjectAltName={','.join(names)}\n" if names else ""))
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days",
                days, "-extfile", extensions, "-out", new["tls.crt"])
        new["ca.crt"].write_text("".join(a.certificate.read_text() for a in trust or [self]))
        for name in ("tls.key", "tls.crt", "ca.crt"):
            os.replace(new[name], folder / name)
        return {"ca": str(folder / "ca.crt"), "certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key")}


class Hosts:
    """Names that resolve on this machine, in a private mount namespace only."""

    def __init__(self, folder, names):
        self.file = pathlib.Path(folder) / "hosts"
        self.names = {}
        self.set(**names)
        subprocess.run(["mount", "--bind", self.file, "/etc/hosts"], check=True)

    def set(self, **names):
        self.names.update(names)
        text = "127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in self.names.items())
        # In place and of one length, so that whoever reads it meanwhile never finds it empty.
        with open(self.file, "r+b" if self.file.exists() else "wb", buffering=0) as file:
            file.write(text.ljust(1024, "\n").encode())

    def stop(self):
        subprocess.run(["umount", "/etc/hosts"], check=True)
