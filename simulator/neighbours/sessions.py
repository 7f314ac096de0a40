"""Who is signed on in a browser: a cookie of each tenant."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.neighbours.accounts import Account, Directory
from simulator.neighbours.asked import Asked
from simulator.neighbours.vault import Vault
from simulator.neighbours.visits import Visit

COOKIE = "windtunnel_session"
LIFE_S = 8 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-on at the provider."""

    account: Account
    tenant: str
    signed_on_s: int
    id: str


class Sessions:
    """Those of one identity provider."""

    def __init__(self, seed: int, kind: str, directory: Directory) -> None:
        self._vault: Vault[Session] = Vault(seed, kind, LIFE_S)
        self._directory = directory
        self._kind = kind
        self._count = 0

    def of(self, visit: Visit) -> Session | None:
        """The session of the browser, at this tenant."""
        found = self._vault.get(visit.asked.cookies.get(COOKIE), visit.asked.now_s)
        return found if found is not None and found.tenant == visit.tenant.segment else None

    def account(self, visit: Visit, login: str, password: str) -> Account | None:
        """Whose login and password these are."""
        found = visit.tenant.account(login)
        return found if found is not None and not found.disabled and password == self._directory.password else None

    def begin(self, visit: Visit, account: Account) -> tuple[Session, tuple[str, str]]:
        """A new session, and the header that sets its cookie."""
        self._count += 1
        now_s = visit.asked.now_s
        session = Session(account, visit.tenant.segment, now_s, f"{self._kind}-{self._count}")
        path = visit.root.removeprefix(visit.asked.site)
        cookie = f"{COOKIE}={self._vault.put(session, now_s)}; Path={path}; HttpOnly; SameSite=Lax"
        return session, ("set-cookie", cookie)

    def end(self, asked: Asked) -> tuple[str, str]:
        """No session any more; returns the header that takes the cookie away."""
        secret = asked.cookies.get(COOKIE)
        if secret is not None:
            self._vault.drop(secret)
        segments = asked.path.split("/")
        return ("set-cookie", f"{COOKIE}=; Path={'/'.join(segments[:3])}; Max-Age=0; HttpOnly; SameSite=Lax")

    def end_of(self, account: Account, session_id: str | None) -> None:
        """End the sessions of a user, or the one of that id."""
        self._vault.drop_if(lambda one: one.account == account and session_id in (None, one.id))

    def clear(self) -> None:
        """End all."""
        self._vault.clear()
