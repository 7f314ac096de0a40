"""The keys of identity and mail, made from the fleet's seed: the same seed has the same keys, in every process.

RSA keys are searched for with a seeded generator (a sieve, then Fermat's test on what is left, about 0.1 s a key); EC
keys are drawn. Nothing is stored. They are as secret as the seed, which is not at all.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from random import Random
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from simulator import draws

BITS: Final = 2048
E: Final = 65537
SMALL: Final = 20_000  # primes below are sieved out
SPAN: Final = 4_000  # odd numbers looked at from one start
P256: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # the order of the curve's group
USUAL, ROTATED, STRANGER = "usual", "rotated", "stranger"
FROM, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
LOCAL: Final = "localhost"
USAGE: Final = x509.KeyUsage(True, False, False, False, False, True, False, False, False)  # sign, and sign certificates
LONG_AGO: Final = datetime(2021, 1, 1, tzinfo=UTC)


@cache
def rsa_key(seed: int, name: str) -> rsa.RSAPrivateKey:
    """The RSA key of that name."""
    dice = draws.dice("rsa", seed, name)
    p, q = sorted((_prime(dice, BITS // 2), _prime(dice, BITS // 2)), reverse=True)
    d = pow(E, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(E, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public).private_key()


def _prime(dice: Random, bits: int) -> int:
    """A prime with its two highest bits set."""
    while True:
        start = dice.getrandbits(bits) | (3 << (bits - 2)) | 1
        for candidate in _survivors(start):
            if pow(2, candidate - 1, candidate) == 1 and (candidate - 1) % E:
                return candidate


def _survivors(start: int) -> Iterator[int]:
    """The numbers of start, start + 2, … that no small prime divides."""
    possible = bytearray([1]) * SPAN
    for prime in _small_primes():
        first = -start * pow(2, -1, prime) % prime
        possible[first::prime] = bytes(len(range(first, SPAN, prime)))
    return (start + 2 * at for at in range(SPAN) if possible[at])


@cache
def _small_primes() -> tuple[int, ...]:
    """The odd primes below SMALL."""
    sieve = bytearray([1]) * SMALL
    for number in range(3, int(SMALL**0.5) + 1, 2):
        sieve[number * number :: number] = bytes(len(range(number * number, SMALL, number)))
    return tuple(number for number in range(3, SMALL, 2) if sieve[number])


@cache
def ec_key(seed: int, name: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of that name."""
    secret = (draws.integer("ec", seed, name, 0) << 128 | draws.integer("ec", seed, name, 1)) % (P256 - 1) + 1
    return ec.derive_private_key(secret, ec.SECP256R1())


@cache
def certificate(seed: int, name: str, host: str, *, expired: bool = False) -> x509.Certificate:
    """A self-signed certificate for the RSA key of that name; an expired one ended in 2021."""
    key = rsa_key(seed, name)
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if host == LOCAL:
        names += [x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1"))]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(draws.integer("serial", seed, name, host, expired) >> 1 | 1)
        .not_valid_before(FROM)
        .not_valid_after(LONG_AGO if expired else UNTIL)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(USAGE, critical=True)
        .sign(key, hashes.SHA256())
    )


def pem(cert: x509.Certificate) -> str:
    """A certificate as text."""
    return cert.public_bytes(Encoding.PEM).decode()


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    """The public half as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def b64url(data: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def b64uint(number: int, length: int | None = None) -> str:
    """A whole number as JWK writes it, in `length` bytes where that is fixed."""
    return b64url(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))
