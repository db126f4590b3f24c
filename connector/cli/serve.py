"""Long-running commands: `serve`, and `worker` for ledgers on PostgreSQL."""

import importlib.metadata
import signal
from collections.abc import Sequence
from pathlib import Path

import click

from connector.cli.common import StartNotes, announce, env_option, mapping_option, say
from connector.cli.ending import ENDING
from connector.cli.logs import keep_log
from connector.core.errors import ConfigurationError


@click.command()
@mapping_option()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="The port; 0 takes any.")
@env_option
def serve(mappings: tuple[str, ...], host: str, port: int, env_file: Path | None) -> None:
    """Serve CRM automation, callbacks and monitors over HTTP; with an embedded ledger, also do the work.

    Prints the mapping files, the caps in force and the next time of each schedule.

    \b
    CONNECTOR_TRIGGER_TOKEN is required on every address, 127.0.0.1 too: other users of the machine
    and web pages can reach it. For callers elsewhere, put a reverse proxy with HTTPS in front.
    Example:
      connector serve -m lead -m contact --host 0.0.0.0 --port 8080
    """
    from connector.app.application import Application
    from connector.server.listen import bind, is_loopback_host, server
    from connector.server.pages import Pages
    from connector.server.site import Secrets, Site

    notes = StartNotes()
    application = Application(mappings, env_file, notes)
    with application.serving() as serving:
        try:
            listening = bind(host, port)
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host}:{port} ({error.strerror}); choose another") from error
        version = importlib.metadata.version("crm-enrichment-connector")
        secrets = Secrets(serving.token, serving.message_secrets)
        site = Site(
            serving.inbound, secrets, serving.alive, version, serving.public_url, loopback=is_loopback_host(host)
        )
        pages = Pages(serving.operations, serving.token, serving.public_url)
        running = server(site.application(pages.routes()), ENDING.begin)
        # From here on, a signal shuts the server down cleanly; once stopped, it passes the signal to these handlers.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, running.handle_exit)
        announce(application)
        for line in serving.schedule:
            say(line)
        say(f"Listening on http://{host}:{listening.getsockname()[1]} for mappings {', '.join(application.mappings)}")
        notes.started()
        keep_log()
        running.run(sockets=[listening])


@click.command()
@mapping_option()
@click.option("--concurrency", default=8, show_default=True, type=click.IntRange(2, 64), help="Jobs at the same time.")
@env_option
def worker(mappings: tuple[str, ...], concurrency: int, env_file: Path | None) -> None:
    """Run one worker of a ledger on PostgreSQL: requests, schedules, delegated runs. Start as many as needed.

    Prints the mapping files, the caps in force and the next time of each schedule.

    \b
    SIGTERM and Ctrl-C stop it cleanly; the other workers continue its open work.
    Example:
      connector worker -m lead -m contact
    """
    from connector.app.application import Application

    notes = StartNotes()
    application = Application(mappings, env_file, notes)
    announce(application)

    def begin(schedule: Sequence[str]) -> None:
        for line in schedule:
            say(line)
        notes.started()
        keep_log()

    application.work(concurrency, begin, ENDING.begin)


COMMANDS = (serve, worker)
