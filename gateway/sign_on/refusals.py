"""How a sign-on fails. What is said names what was wrong, and nothing that the provider or the browser keeps secret."""

from __future__ import annotations

from gateway.errors import NoAccess, UpstreamError


class SignOnRefused(NoAccess):
    """What the browser or the identity provider brought is no sign-on."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The sign-on was refused: {reason}.")
        self.reason = reason


class ProviderFailed(UpstreamError):
    """The identity provider cannot be reached, or answers with what is no answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The identity provider failed: {reason}")
        self.reason = reason
