"""The group of all commands, and the only place where errors become messages and exit codes."""

import signal
import sys
from io import TextIOWrapper

import click

from connector.cli import admin, events, history, init, ledger, operator, provision, rehearse, runs, serve
from connector.cli.common import complain, summarize
from connector.cli.console import plain_warnings, show_usage_error
from connector.cli.ending import ENDING, INTERRUPTED, INTERRUPTED_TEXT
from connector.cli.logs import add_log_options, stop_log
from connector.core.errors import ConnectorError
from connector.report.logs import where


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="crm-enrichment-connector", prog_name="connector")
def cli() -> None:
    """Enrich flagged Salesforce Leads and Contacts: each value is bought once, and written only where you allow it.

    \b
    Try it without any account:   connector demo
    Check your own set-up:        connector doctor -m lead
    See what a run would cost:    connector plan -m lead
    Run it:                       connector sync -m lead

    \b
    Exit codes: 0 done; 1 a fault of the connector; 2 wrong usage or configuration, nothing bought;
    3 done, some records need attention; 4 stopped early or left records for later; 5 another run holds the
    lock; 130 interrupted, the next run continues from there.
    """


for module in (init, runs, serve, history, operator, ledger, admin, provision, events, rehearse):
    for command in module.COMMANDS:
        add_log_options(command)
        summarize(command)
        cli.add_command(command)


def main() -> None:
    """Run one command. Every error becomes one message and one documented exit code."""
    signal.signal(signal.SIGTERM, ENDING.interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, ENDING.interrupt)
    try:
        with ENDING.on_signals():
            _run()
    except KeyboardInterrupt:  # a second signal, while the first is reported
        sys.exit(INTERRUPTED)
    finally:
        stop_log()


def _run() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name in another script must not stop a run
    plain_warnings()
    try:
        # Outside its standalone mode, click returns the code of `ctx.exit` instead of raising.
        code = cli.main(standalone_mode=False, prog_name="connector")
        sys.exit(code if isinstance(code, int) else 0)
    except click.Abort as error:
        sys.exit(_aborted(error))
    except click.ClickException as error:
        show_usage_error(error)
        sys.exit(2)
    except ConnectorError as error:
        sys.exit(_reported(error))
    except KeyboardInterrupt:
        complain(INTERRUPTED_TEXT)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader closed the pipe: there is no one to report to
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 the last line of defence: an admin gets one line, never a traceback
        from connector.app.failures import explained

        known = explained(error)
        if known is not None:
            sys.exit(_reported(known))
        complain(f"error: internal fault, please report it: {where(error)}")
        sys.exit(1)


def _reported(error: ConnectorError) -> int:
    """Print an error and return its exit code."""
    complain("\n".join(f"error: {line}" for line in str(error).splitlines()))
    return error.exit_code


def _aborted(error: click.Abort) -> int:
    """Report an answer other than yes, or Ctrl-C, and return the exit code; click raises Abort for both."""
    if isinstance(error.__cause__, KeyboardInterrupt):
        complain(INTERRUPTED_TEXT)
        return INTERRUPTED
    at_the_question = isinstance(error.__context__, KeyboardInterrupt | EOFError)  # click hides it: `from None`
    if at_the_question:
        complain("")  # ends the line of the question
    if isinstance(error.__context__, KeyboardInterrupt):
        complain("Interrupted. Nothing was done.")
        return INTERRUPTED
    complain("Nothing was done.")
    return 2
