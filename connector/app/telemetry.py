"""Exports spans and figures, if the environment names a collector; else nothing is imported for it."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
MISSING = (
    f"{ENDPOINT} is set, but OpenTelemetry is not installed: nothing is exported; install the connector with the "
    "extra 'otel'"
)


@contextmanager
def exported(note: Callable[[str], None]) -> Iterator[None]:
    """Export what the process does while the block runs; a failure to begin is a note, and no error.

    Args:
        note: shows a person why nothing is exported.
    """
    with ExitStack() as stack:
        if os.environ.get(ENDPOINT):
            try:
                stack.enter_context(_otel())
            except ImportError:
                note(MISSING)
            except Exception as error:  # noqa: BLE001 whatever the SDK refuses must not stop a run
                note(f"nothing is exported to {ENDPOINT}: OpenTelemetry refuses its settings ({type(error).__name__})")
        yield


def _otel() -> AbstractContextManager[None]:
    from connector.net import otel

    return otel.exported()
