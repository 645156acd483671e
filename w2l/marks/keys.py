"""The key that manifests are signed with: the user's own, or one that is made here on first use and says so."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from w2l.core.errors import ConfigError
from w2l.core.files import write_text
from w2l.core.text import one_line

FOLDER = "W2L_KEYS"
"""The environment variable that names the folder of the key."""
CHAIN, KEY = "signing-chain.pem", "signing-key.pem"
LOCAL = "w2l local key, self-signed on this machine"
"""Whom a key names that was made here."""
DAYS = 730
"""For how long such a key is valid."""
ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""Curves of keys -> C2PA's names of their signatures."""


class KeyFolderError(ConfigError):
    """The folder of the key cannot be written."""


@dataclass(frozen=True)
class SigningKey:
    """A private key and its certificates, as PEM."""

    chain: str
    """The certificate of the key first, then those that vouch for it."""
    key: str
    algorithm: str
    """As C2PA names it."""
    subject: str
    """Whom the certificate names."""
    is_local: bool
    """Whether it was made on this machine, so that nobody vouches for it."""


def key_folder() -> Path:
    """Return the folder of the key: $W2L_KEYS, else w2l in the user's folder of settings."""
    named = os.environ.get(FOLDER)
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(named) if named else Path(config) / "w2l"


def signing_key() -> SigningKey:
    """Return the key of this user; one is made the first time, and when one made here has expired.

    Raises ConfigError for one that cannot be used.
    """
    folder = key_folder()
    if not (folder / KEY).is_file() or _is_outdated(folder / CHAIN):
        chain, key = make_local_key()
        _keep(folder, chain, key)
    try:
        return checked((folder / CHAIN).read_text("utf-8"), (folder / KEY).read_text("utf-8"), str(folder))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder}: the key cannot be read ({one_line(error)}); import one: w2l mark key") from error


def _is_outdated(chain: Path) -> bool:
    """Return whether a stored certificate was made here and has expired; the user's own is theirs to renew."""
    from cryptography import x509

    try:
        first = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    except (OSError, ValueError):
        return False
    return _subject(first) == LOCAL and first.not_valid_after_utc < datetime.now(timezone.utc)


def import_key(chain: Path, key: Path) -> SigningKey:
    """Store a key of the user's own, checked; ConfigError for one that cannot be used."""
    try:
        texts = chain.read_text("utf-8"), key.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key cannot be read: {one_line(error)}; name PEM files") from error
    found = checked(*texts, str(key))
    _keep(key_folder(), *texts)
    return found


def checked(chain: str, key: str, where: str) -> SigningKey:
    """Return a key, checked: that it is one, fits its certificate, and is valid now."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
        private: Any = load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{where}: not a certificate chain and a private key without password, as PEM ({one_line(error)})"
        ) from error
    first = certificates[0]
    if first.public_key() != private.public_key():
        raise ConfigError(f"{where}: the first certificate is not that of the key; name its own certificate first")
    now = datetime.now(timezone.utc)
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        until = f"{first.not_valid_before_utc:%Y-%m-%d} to {first.not_valid_after_utc:%Y-%m-%d}"
        raise ConfigError(f"{where}: the certificate is valid from {until}; import one that is valid now")
    if isinstance(private, ec.EllipticCurvePrivateKey):
        algorithm = ALGORITHMS.get(private.curve.name, "")
    elif isinstance(private, rsa.RSAPrivateKey):
        algorithm = "ps256"
    else:
        algorithm = "ed25519" if isinstance(private, ed25519.Ed25519PrivateKey) else ""
    if not algorithm:
        raise ConfigError(f"{where}: C2PA takes no key of this kind; use one on the curve P-256")
    subject = _subject(first)
    return SigningKey(chain, key, algorithm, subject, subject == LOCAL)


def _subject(certificate: Any) -> str:
    """Return whom a certificate names."""
    from cryptography import x509

    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else str(certificate.subject.rfc4514_string())


def make_local_key() -> tuple[str, str]:
    """Return a new certificate chain and its key, as PEM: a certificate, and the one of a root that signs nothing else.

    C2PA refuses certificates that sign themselves, so the root is one of its own, whose key is thrown away.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(f"{LOCAL}: root", root_key, f"{LOCAL}: root", root_key, is_root=True)
    own = _certificate(LOCAL, key, f"{LOCAL}: root", root_key, is_root=False)
    pem = serialization.Encoding.PEM
    texts = own.public_bytes(pem) + root.public_bytes(pem)
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return texts.decode(), secret.decode()


def _certificate(name: str, key: Any, issuer: str, issuer_key: Any, is_root: bool) -> Any:
    """Return a certificate of the profile that C2PA asks for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    def named(text: str) -> Any:
        parts = ((x509.NameOID.COMMON_NAME, text), (x509.NameOID.ORGANIZATION_NAME, "w2l"))
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])

    now = datetime.now(timezone.utc)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(is_root, None), critical=True)
        .add_extension(x509.KeyUsage(not is_root, key_cert_sign=is_root, crl_sign=is_root, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_root:
        purposes = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _keep(folder: Path, chain: str, key: str) -> None:
    """Write a key, readable by its owner alone; KeyFolderError where that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in ((CHAIN, chain), (KEY, key)):
            write_text(folder / name, text)
        (folder / KEY).chmod(0o600)
    except OSError as error:
        raise KeyFolderError(
            f"{folder}: the signing key cannot be stored ({one_line(error)}); name a folder that can be written, with"
            f" ${FOLDER}"
        ) from error
