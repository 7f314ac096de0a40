"""Sign-on by OpenID Connect: the authorization code flow with PKCE, `state`, `nonce` and `iss`.

Source: OpenID Connect Core 1.0 section 3.1, RFC 7636 (PKCE), RFC 9207 (`iss`), RFC 9700 (best current practice).
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode

from gateway import guard
from gateway.errors import shown
from gateway.sign_on import id_tokens
from gateway.sign_on.attempts import Attempt
from gateway.sign_on.discovery import BASIC, DOCUMENT_BYTES_MAX, POST, Issuer, Issuers, json_object
from gateway.sign_on.id_tokens import Due, NoSuchKey
from gateway.sign_on.identity import Identity
from gateway.sign_on.providers import Provider
from gateway.sign_on.refusals import ProviderFailed, SignOnRefused

if TYPE_CHECKING:
    from gateway.services import Services

SCOPES: Final = "openid email profile"
CODE_MAX: Final = 4096
FORM: Final = "application/x-www-form-urlencoded"


async def way_there(
    services: Services, issuers: Issuers, provider: Provider, attempt: Attempt, hint: str | None
) -> str:
    """Where the browser is sent to sign on. Raises ProviderFailed."""
    document = await issuers.document(services, provider.settings["issuer"])
    asked = {
        "response_type": "code",
        "client_id": provider.settings["client_id"],
        "redirect_uri": attempt.here,
        "scope": SCOPES,
        "state": attempt.id,
        "nonce": attempt.nonce,
        "code_challenge": urlsafe_b64encode(sha256(attempt.verifier.encode()).digest()).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    if hint is not None:
        asked["login_hint"] = hint
    if (max_age_s := provider.settings.get("max_age_s")) is not None:
        asked["max_age"] = str(max_age_s)
    mark = "&" if "?" in document.authorization_endpoint else "?"
    return f"{document.authorization_endpoint}{mark}{urlencode(asked)}"


async def way_back(
    services: Services,
    issuers: Issuers,
    provider: Provider,
    attempt: Attempt,
    told: Mapping[str, str],
    secret: str | None,
) -> Identity:
    """Whom the provider vouches for, by what the callback bears. Raises SignOnRefused, ProviderFailed."""
    document = await issuers.document(services, provider.settings["issuer"])
    code = code_of(told, document)
    given = await redeem(services, provider, document, attempt, code, secret)
    access_token = given.get("access_token")
    if not isinstance(access_token, str) or str(given.get("token_type", "")).lower() != "bearer":
        raise ProviderFailed("it gives no access token.")
    claims = await read_token(services, issuers, provider, document, attempt, given.get("id_token"), access_token)
    source = claims
    if document.userinfo_endpoint is not None and not {"email", "email_verified"} <= set(claims):
        source = await userinfo(services, document.userinfo_endpoint, access_token, claims["sub"])
    email, is_verified = source.get("email"), source.get("email_verified")  # of one source: the two belong together
    if not isinstance(email, str):
        raise SignOnRefused("the provider tells no e-mail address")
    if is_verified is not True and is_verified != "true":  # some providers write it as a text
        raise SignOnRefused("the provider has not verified the e-mail address")
    name = claims.get("name", source.get("name"))
    return Identity(claims["sub"], email, name if isinstance(name, str) else None)


def code_of(told: Mapping[str, str], document: Issuer) -> str:
    """The code, from the issuer that was asked. Raises SignOnRefused."""
    came = told.get("iss")
    if came is None and document.tells_iss:
        raise SignOnRefused("the answer does not say which provider it comes from (iss)")
    if came is not None and not compare_digest(came.encode(), document.issuer.encode()):
        raise SignOnRefused("the answer comes from another provider (iss)")
    if "error" in told:
        raise SignOnRefused(f"the provider says {shown(told['error'])!r}")
    code = told.get("code", "")
    if not 1 <= len(code) <= CODE_MAX:
        raise SignOnRefused("the answer has no code")
    return code


async def redeem(
    services: Services, provider: Provider, document: Issuer, attempt: Attempt, code: str, secret: str | None
) -> dict[str, Any]:
    """The tokens for a code. Raises ProviderFailed, SignOnRefused."""
    client_id = provider.settings["client_id"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": attempt.here,
        "code_verifier": attempt.verifier,
    }
    headers = {"content-type": FORM, "accept": "application/json"}
    if secret is None:
        form["client_id"] = client_id
    elif BASIC in document.token_auth or POST not in document.token_auth:
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"  # RFC 6749 section 2.3.1
        headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    else:
        form |= {"client_id": client_id, "client_secret": secret}
    answer = await asked(services, document.token_endpoint, "POST", headers, urlencode(form).encode())
    if answer.status in (400, 401, 403):
        error = told_error(answer.body)
        raise SignOnRefused(f"the provider does not take the code ({shown(error)})")
    if answer.status != 200:
        raise ProviderFailed(f"its token endpoint answered with status {answer.status}.")
    return json_object(answer.body)


async def read_token(
    services: Services,
    issuers: Issuers,
    provider: Provider,
    document: Issuer,
    attempt: Attempt,
    token: Any,
    access_token: str,
) -> dict[str, Any]:
    """The claims of the ID token; the keys are fetched once more if none fits. Raises SignOnRefused, ProviderFailed."""
    settings, config = provider.settings, services.config
    now_s = services.clock.now_s()
    due = Due(
        document.issuer, settings["client_id"], attempt.nonce, now_s, config.sso_skew_s, settings.get("max_age_s")
    )
    keys, are_new = await issuers.keys(services, settings["issuer"])
    try:
        return id_tokens.read(token, keys, due, access_token)
    except NoSuchKey:
        if not are_new:
            keys, are_new = await issuers.keys(services, settings["issuer"], fresh=True)
    try:
        return id_tokens.read(token, keys, due, access_token)
    except NoSuchKey:
        raise SignOnRefused("no key of the provider's made the signature of the ID token") from None


async def userinfo(services: Services, url: str, access_token: str, subject: str) -> dict[str, Any]:
    """What the provider tells of the user besides. Raises SignOnRefused, ProviderFailed."""
    answer = await asked(services, url, "GET", {"authorization": f"Bearer {access_token}"}, b"")
    if answer.status != 200:
        raise ProviderFailed(f"its userinfo answered with status {answer.status}.")
    told = json_object(answer.body)
    if told.get("sub") != subject:
        raise SignOnRefused("userinfo tells of somebody else")
    return told


async def asked(services: Services, url: str, method: str, headers: Mapping[str, str], body: bytes) -> guard.Answer:
    """One exchange with the provider. Raises ProviderFailed."""
    try:
        return await guard.call(
            services,
            url,
            method=method,
            headers=headers,
            body=body,
            most_bytes=DOCUMENT_BYTES_MAX,
            timeout_s=services.config.sso_timeout_s,
            https=True,
        )
    except (guard.Unreachable, guard.Refused) as error:
        raise ProviderFailed(error.message) from None


def told_error(body: bytes) -> str:
    """The error code of a token endpoint."""
    try:
        error = json_object(body).get("error")
    except ProviderFailed:
        error = None
    return error if isinstance(error, str) else "no reason given"
