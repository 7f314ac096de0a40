"""What an endpoint makes of a request body: the order, and how it is priced. One subclass of Endpoint per endpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gateway.media.order import Made, Order
from schemas.catalogue import Model


@dataclass(frozen=True, slots=True)
class Ticket:
    """A checked request."""

    model: Model
    requested_model: str
    order: Order  # `order.model` is set anew for each upstream
    units: int  # ordered: pictures, seconds, clips or requests
    unit_uc: int  # what one of them costs, in microcredits

    @property
    def bound_uc(self) -> int:
        """The most that it may cost, in microcredits."""
        return self.units * self.unit_uc


class Endpoint(ABC):
    """One endpoint of media."""

    name: ClassVar[str]  # of the catalogue's endpoints
    endpoint: ClassVar[str]  # the documented path, as the usage log shows it
    limit_class: ClassVar[str]  # of the hourly limits
    longest_option: ClassVar[str]  # the configuration's option that bounds how long a call may take, in seconds

    @abstractmethod
    def read(self, fields: Mapping[str, Any]) -> Ticket:
        """Validates a body. Raises InvalidRequest, UnknownModel."""

    @abstractmethod
    def delivered(self, ticket: Ticket, made: Made) -> int:
        """The units to charge, at most those ordered."""

    @abstractmethod
    def reply(self, ticket: Ticket, made: Made, now_s: int) -> dict[str, Any]:
        """The answer's body. Every item has a link or its bytes, as the order wants."""
