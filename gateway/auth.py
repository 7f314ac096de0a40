"""Where a request carries its key, and whether that key is good. All header forms work on every endpoint.

Source: api-reference#authentication (the three headers and `?key=`); RFC 9110 section 11.1: the scheme is caseless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs

KEY_PREFIX: Final = "ck_"
KEY_LENGTH_MAX: Final = 256

Headers = Mapping[bytes, bytes]


def bearer(headers: Headers) -> str | None:
    """The credential of `Authorization: Bearer …`, with any case and any blanks around; None for another scheme."""
    value = headers.get(b"authorization")
    if value is None:
        return None
    scheme, _, credential = value.decode("latin-1").strip().replace("\t", " ").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def x_api_key(headers: Headers) -> str | None:
    """The Anthropic SDKs' header."""
    return plain(headers, b"x-api-key")


def x_goog_api_key(headers: Headers) -> str | None:
    """The Google SDKs' header."""
    return plain(headers, b"x-goog-api-key")


def plain(headers: Headers, name: bytes) -> str | None:
    """A header that is the key and nothing else."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1").strip()


HEADER_FORMS: Final[dict[str, Callable[[Headers], str | None]]] = {
    "authorization": bearer,
    "x-api-key": x_api_key,
    "x-goog-api-key": x_goog_api_key,
}
CREDENTIAL_HEADERS: Final = frozenset(name.encode() for name in HEADER_FORMS)


def query_key(query: bytes) -> str | None:
    """The key of `?key=…`."""
    if b"key=" not in query:
        return None
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100).get("key")
    return values[0].strip() if values else None


def credentials(headers: Headers, query: bytes) -> Iterator[str]:
    """Every credential the request carries, in the order of precedence."""
    for form in HEADER_FORMS.values():
        if (found := form(headers)) is not None:
            yield found
    try:
        found = query_key(query) if query else None
    except ValueError:  # more fields than anybody needs
        found = ""
    if found is not None:
        yield found


def secret(headers: Headers, query: bytes) -> str | None:
    """The key to go by: the first credential that looks like one of ours, else the first; None when there is none."""
    first = None
    for credential in credentials(headers, query):
        if well_formed(credential):
            return credential
        if first is None:
            first = credential
    return first


def well_formed(credential: str) -> bool:
    """Whether it looks like one of our keys."""
    return credential.startswith(KEY_PREFIX) and len(KEY_PREFIX) < len(credential) <= KEY_LENGTH_MAX
