"""Certificates for receivers, good ones and each kind of bad one, as files and as contexts of Python's ssl."""

import datetime
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Identity:
    """A key and its certificate, issued by `issuer` or by itself. `files`: the paths of both."""

    def __init__(self, folder, word, names=(), issuer=None, days=10, authority=False, key=None, digest=None):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, word)])
        signer, name = (issuer.key, issuer.name) if issuer else (self.key, self.name)
        now = datetime.datetime.utcnow()
        made = (x509.CertificateBuilder().subject_name(self.name).issuer_name(name).public_key(self.key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - 30 * DAY)
                .not_valid_after(now + days * DAY)
                .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True))
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        self.certificate = made.sign(signer, digest or hashes.SHA256())
        self.files = folder / f"{word}.crt", folder / f"{word}.key"
        self.files[0].write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.files[1].write_bytes(self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.files[1].chmod(0o600)  # Servers refuse a key that others can read.

    def context(self, **options):
        """For a server; `options` are set on it (maximum_version=…)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # Weak certificates too.
        context.load_cert_chain(*self.files)
        for name, value in options.items():
            setattr(context, name, value)
        return context
