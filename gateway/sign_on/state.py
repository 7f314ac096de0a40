"""What a running gateway keeps of single sign-on in its memory. Light: the parts that judge are imported when used."""

from __future__ import annotations

from typing import Final

from gateway.edge import Clock
from gateway.errors import NoAccess
from gateway.orgs.orgs import Orgs
from gateway.sealing import Sealer, Vault
from gateway.sign_on.discovery import Issuers
from gateway.sign_on.providers import Providers
from gateway.storage.store import Store

REFRESHES_MAX: Final = 10  # of one provider within REFRESH_WINDOW_S, because a signature did not fit
REFRESH_WINDOW_S: Final = 60


class Refreshes:
    """How often metadata were fetched again lately: whoever posts nonsense could otherwise make us ask for ever."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, provider_id: str, now: float) -> bool:
        """Whether one more may be made; `now` in seconds of the monotonic clock."""
        self._windows = {key: value for key, value in self._windows.items() if now - value[0] < REFRESH_WINDOW_S}
        began, count = self._windows.get(provider_id, (now, 0))
        self._windows[provider_id] = (began, count + 1)
        return count < REFRESHES_MAX


class SignOn:
    """The parts of single sign-on."""

    def __init__(self, store: Store, clock: Clock, orgs: Orgs, vault: Vault) -> None:
        self.providers = Providers(store, clock, orgs)
        self.issuers = Issuers()
        self.refreshes = Refreshes()
        self._vault = vault

    @property
    def sealer(self) -> Sealer:
        """What seals. Raises NoAccess where the operator must choose a secret first."""
        found = self._vault.sealer
        if found is None:
            raise NoAccess(
                "Single sign-on needs the option `secret_key`, which the operator of this gateway has not set."
            )
        return found
