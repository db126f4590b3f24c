"""Personal data at rest: sealed until it is written, hashed to be recognised later.

Values are sealed with AES-256-GCM (authenticated encryption): the newest key seals, and every listed key opens. Before
version 0.5 they were sealed with Fernet; those values still open. Hashes are HMACs. Each purpose has a key of its own,
derived from the listed one, so hashes of older keys stay valid after a rotation.

    sealed value    one byte, the version (1); 12 bytes, a random nonce; the ciphertext; 16 bytes, the tag
    Fernet's        text that begins with `g`, never with that byte
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connector.core.errors import ConfigurationError
from connector.core.model import FieldValue
from connector.store.private import OWNER_ONLY

_HASH_BYTES = 16
_VERSION = b"\x01"
_NONCE_BYTES = 12  # random: safe for 2**32 values of one key (NIST SP 800-38D, 8.3, 2007)


class Seal:
    """Seals, opens and hashes values with a list of keys, newest first.

    Raises:
        ConfigurationError: a key is not the urlsafe base64 of 32 bytes.
    """

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise ConfigurationError("CONNECTOR_SECRET_KEY is empty")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
            # Validated: otherwise text after the padding, such as a second key, would be ignored silently.
            raw = [base64.b64decode(key, altchars=b"-_", validate=True) for key in keys]
        except ValueError as error:
            raise ConfigurationError(
                "CONNECTOR_SECRET_KEY must hold urlsafe base64 keys of 32 bytes, separated by commas"
            ) from error
        self._ciphers = [AESGCM(_derive(key, b"connector sealed value")) for key in raw]
        self._hash_keys = [_derive(key) for key in raw]
        self._address_keys = [_derive(key, b"connector callback address") for key in raw]
        self.fingerprints = tuple(hashlib.sha256(b"fingerprint" + key).hexdigest()[:12] for key in self._hash_keys)

    def seal(self, values: Mapping[str, FieldValue]) -> bytes:
        """Encrypt values by name."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._ciphers[0].encrypt(nonce, json.dumps(dict(values)).encode(), _VERSION)

    def open(self, sealed: bytes) -> dict[str, FieldValue]:
        """Decrypt the output of `seal`.

        Raises:
            ConfigurationError: no listed key opens it.
        """
        opened = self._opened(sealed)
        if opened is None:
            raise ConfigurationError(
                "the ledger holds data sealed with a key that CONNECTOR_SECRET_KEY no longer lists; add it at the end"
            )
        return dict(json.loads(opened))

    def opens(self, sealed: bytes) -> bool:
        """Whether a listed key opens it."""
        return self._opened(sealed) is not None

    def _opened(self, sealed: bytes) -> bytes | None:
        if sealed[:1] != _VERSION:
            try:
                return self._fernet.decrypt(sealed)
            except InvalidToken:
                return None
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        for cipher in self._ciphers:
            with contextlib.suppress(InvalidTag, ValueError):  # ValueError: too short to be one
                return cipher.decrypt(nonce, ciphertext, _VERSION)
        return None

    def hash(self, value: FieldValue) -> str:
        """Hash one value under the newest key; the hash begins with the key's fingerprint."""
        return f"{self.fingerprints[0]}:{_hash(self._hash_keys[0], value)}"

    def address(self, attempt_id: str) -> str:
        """The unguessable part of a callback address: the attempt id and a signature."""
        return f"{attempt_id}.{_signature(self._address_keys[0], attempt_id)}"

    def attempt_of(self, address: str) -> str | None:
        """The attempt of a callback address signed with a listed key; None for any other text."""
        attempt_id, _, signature = address.partition(".")
        expected = [_signature(key, attempt_id) for key in self._address_keys]
        matches = [hmac.compare_digest(signature.encode(), one.encode()) for one in expected]
        return attempt_id if any(matches) else None

    def matches(self, hashed: str, value: FieldValue) -> bool:
        """Whether `hashed` is a hash of this value; a hash of an earlier version names no key and is tried with all.

        Raises:
            ConfigurationError: the hash names a key that is not listed.
        """
        fingerprint, colon, bare = hashed.rpartition(":")
        if colon and fingerprint not in self.fingerprints:
            raise ConfigurationError(
                f"CONNECTOR_SECRET_KEY lacks a key that the ledger holds hashes of (fingerprint {fingerprint}): "
                "add it at the end, on every machine that shares the ledger"
            )
        keys = zip(self.fingerprints, self._hash_keys, strict=True)
        return any(hmac.compare_digest(bare, _hash(key, value)) for one, key in keys if fingerprint in {"", one})


def _derive(key: bytes, purpose: bytes = b"connector value hash") -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _signature(key: bytes, attempt_id: str) -> str:
    return hmac.digest(key, attempt_id.encode(), "sha256")[:_HASH_BYTES].hex()


def _hash(key: bytes, value: FieldValue) -> str:
    return hmac.digest(key, repr(value).encode(), "sha256")[:_HASH_BYTES].hex()


def new_key() -> str:
    """Generate a random key as urlsafe base64."""
    return Fernet.generate_key().decode()


def read_or_create_key_file(path: Path, *, may_create: bool) -> list[str]:
    """Read the keys of the file beside a SQLite ledger; create the file with mode 0600 for a new ledger.

    Raises:
        ConfigurationError: the ledger exists without its key file, or the file cannot be created or read.
    """
    try:
        if may_create and not path.exists():
            _create_key_file(path)
        return [key.strip() for key in path.read_text(encoding="ascii").split(",") if key.strip()]
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"the ledger exists but its key does not: set CONNECTOR_SECRET_KEY or restore {path.name} beside it"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the key file {path} cannot be created or read ({type(error).__name__}): let the connector's user "
            "own it and write in its folder, or set CONNECTOR_SECRET_KEY"
        ) from error


def _create_key_file(path: Path) -> None:
    """Write the whole file, then name it: if two processes start at once, both read the key of the first."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(new_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
