"""The simulated world: three sites over HTTP on this machine, with one clock, fault list and charge ledger."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

from connector.simulator.charges import ChargeLedger
from connector.simulator.clock import SimClock
from connector.simulator.control import PREFIX, with_control
from connector.simulator.faults import Fault, Faults
from connector.simulator.hosting import Hosting
from connector.simulator.lensmor import LensmorSite
from connector.simulator.salesfinity import SalesfinitySite
from connector.simulator.salesforce import SalesforceSite


@dataclass(frozen=True)
class Urls:
    """The base URLs of the sites, without a slash at the end.

    Attributes:
        salesforce: the simulated org.
        lensmor: the simulated Lensmor.
        salesfinity: the simulated Salesfinity.
        control: the routes for inspecting the simulation from another process; on the Lensmor port.
    """

    salesforce: str
    lensmor: str
    salesfinity: str
    control: str


class Simulator:
    """Three sites that share one clock, one list of faults and one charge ledger.

    Args:
        clock: the simulated time; by default real time.
        seed: fills the world, for example `seed_demo`; by default the world is empty.
        organization_id: the id of the simulated org; by default the same at every start.

    Attributes:
        clock: the simulated time.
        faults: the armed misbehaviours.
        charges: every charge of both vendors.
        lensmor: the simulated Lensmor.
        salesfinity: the simulated Salesfinity.
        salesforce: the simulated Salesforce; its records are in `salesforce.org`.
    """

    def __init__(
        self,
        clock: SimClock | None = None,
        seed: "Callable[[Simulator], object] | None" = None,
        organization_id: str | None = None,
    ) -> None:
        self.clock = clock if clock is not None else SimClock()
        self.faults = Faults()
        self.charges = ChargeLedger()
        self.lensmor = LensmorSite(self.clock, self.faults, self.charges)
        self.salesfinity = SalesfinitySite(self.clock, self.faults, self.charges)
        self.salesforce = SalesforceSite(self.clock, self.faults, organization_id)
        self._hosting = Hosting(
            {
                "salesforce": self.salesforce.app,
                "lensmor": with_control(self.lensmor.app, self),
                "salesfinity": self.salesfinity.app,
            }
        )
        if seed is not None:
            seed(self)

    def arm(self, fault: Fault) -> None:
        """Arm a fault; its site must support the action.

        Raises:
            ValueError: an unknown site or action.
        """
        known = {
            "lensmor": self.lensmor.actions,
            "salesfinity": self.salesfinity.actions,
            "salesforce": self.salesforce.actions,
        }
        if fault.site not in known:
            raise ValueError(f"unknown site {fault.site!r}; known: {sorted(known)}")
        if fault.action not in known[fault.site]:
            raise ValueError(f"{fault.site} knows no action {fault.action!r}; known: {sorted(known[fault.site])}")
        self.faults.arm(fault)

    def start(self, *, salesforce: int = 0, lensmor: int = 0, salesfinity: int = 0) -> Urls:
        """Serve the sites on loopback ports in the background; returns when they answer.

        Args:
            salesforce: port of the Salesforce site; 0 for any free one.
            lensmor: port of the Lensmor site and the control routes; 0 for any free one.
            salesfinity: port of the Salesfinity site; 0 for any free one.

        Raises:
            OSError: a port is in use.
            RuntimeError: the sites are being served already.
        """
        urls = self._hosting.start({"salesforce": salesforce, "lensmor": lensmor, "salesfinity": salesfinity})
        self.salesfinity.start()
        return Urls(**urls, control=urls["lensmor"] + PREFIX)

    def stop(self) -> None:
        """Stop serving; the sites keep their state and can be started again.

        Raises:
            RuntimeError: a site raised an exception, because of an unknown fault or an error in the simulator; its
                client only saw a status 500.
        """
        self.salesfinity.stop()
        self._hosting.stop()
        if self._hosting.broken:
            error = self._hosting.broken[0]
            self._hosting.broken.clear()
            raise RuntimeError(f"a simulated site broke: {error!r}") from error

    def serve_until_stopped(self, tell: Callable[[Urls], None], **ports: int) -> None:
        """Serve until SIGINT or SIGTERM; must be called in the main thread.

        Args:
            tell: called once with the addresses, when the sites answer.
            ports: as for `start`.
        """
        stopped = threading.Event()

        def stop(_number: int, _frame: FrameType | None) -> None:
            stopped.set()

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            tell(self.start(**ports))
            stopped.wait()
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
