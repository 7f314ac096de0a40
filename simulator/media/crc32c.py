"""CRC-32C (Castagnoli), which Google's storage tells of every object. No module of the standard library has it."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from simulator import draws
from simulator.media.sound import digest
from simulator.media.store import STORE

_POLYNOMIAL: Final = 0x82F63B78


def _row(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE: Final = tuple(_row(value) for value in range(256))


def checksum(data: bytes) -> int:
    """The checksum: about a tenth of a second for a megabyte."""
    table, crc = _TABLE, 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def told(data: bytes) -> str:
    """As it stands in `x-goog-hash`: base64 of its four bytes. Kept by a digest of the data."""
    key = draws.digest("crc32c", digest(data))
    return STORE.get(key, lambda: b64encode(checksum(data).to_bytes(4, "big"))).decode()
