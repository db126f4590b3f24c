"""Commands that run over records: plan, apply, sync, backfill, undo."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from connector.cli.common import (
    announce,
    confirm,
    env_option,
    err,
    for_eyes,
    json_option,
    mapping_option,
    out,
    say,
    show,
    yes_option,
)
from connector.cli.live import LiveProgress
from connector.core.crm_api import CrmApi
from connector.report import plan_text, text


@contextmanager
def alerting(command: str, mappings: Sequence[str], env_file: Path | None) -> Iterator[None]:
    """Send an alert if a run within this context ends with an error; the error is raised all the same."""
    try:
        yield
    except (click.ClickException, click.Abort, KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as error:
        from connector.app.alerts import run_failed

        run_failed(env_file, command, mappings, error)
        raise


where_option = click.option(
    "--where", metavar="SOQL", help="Records that meet this condition, instead of flagged ones."
)
ids_option = click.option(
    "--ids",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of record ids: one per line, a report export, or a file from connector export.",
)
limit_option = click.option(
    "--limit", type=click.IntRange(min=1), help="At most this many records, over all mappings together."
)
all_option = click.option(
    "--all",
    "override_guards",
    is_flag=True,
    help="Override the guards: unusually many records, one reason for all of them, answers without a value.",
)


@click.command()
@mapping_option(required=False)
@where_option
@ids_option
@limit_option
@click.option(
    "--show",
    "frozen",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Show a frozen plan instead of making one; needs neither a mapping nor a login.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Freeze the plan into this file, for connector apply. It contains ids and credits, no personal data.",
)
@json_option
@env_option
def plan(
    mappings: tuple[str, ...],
    where: str | None,
    ids: Path | None,
    limit: int | None,
    frozen: Path | None,
    out: Path | None,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Show the purchases and writes that a run would make, and their cost. Has no effect.

    \b
    Example:
      connector plan -m lead
      connector plan -m lead --where "LeadSource = 'Trade Show'" --limit 500 --out plan.json
      connector plan --show plan.json
    """
    if frozen is not None:
        if mappings or where or ids or limit or out:
            raise click.UsageError("--show shows a plan that was made before: give no other option but --json")
        from connector.app.plans import summarize

        show(summarize(frozen).to_json(), as_json=as_json, render=plan_text.frozen)
        return
    if not mappings:
        raise click.UsageError("name a mapping (-m FILE), or a frozen plan (--show FILE)")
    from connector.app.application import Application

    with LiveProgress() as progress:
        application = Application(mappings, env_file, progress)
        announce(application)
        chosen = application.choose(where, ids, limit) if where or ids or limit else None
        found = application.plan(chosen, out=out)
    show(found.to_json(), as_json=as_json, render=plan_text.preview)
    if out is not None:
        say(f"Frozen into {out}. Show it: connector plan --show {out}. Execute exactly it: connector apply {out}")


@click.command()
@click.argument("plan", type=click.Path(dir_okay=False, path_type=Path))
@yes_option
@json_option
@env_option
@click.pass_context
def apply(ctx: click.Context, plan: Path, yes: bool, as_json: bool, env_file: Path | None) -> None:
    """Execute exactly the frozen PLAN: never more credits, never a record that changed since. Shows the cost and asks.

    \b
    Applying it again continues the rest; all its runs together stay within its ceiling.
    Example:
      connector apply plan.json
    """
    from connector.app.application import Application
    from connector.app.plans import read_plan

    with read_plan(plan) as frozen:
        terms, costs = frozen.terms, _costs(frozen.terms.ceiling)
        confirm(
            f"Enrich the {frozen.records.count():,} records of {terms.plan_id} for at most {costs} credits?", yes=yes
        )
        names = [found.name for found in terms.mappings]
        with alerting("apply", names, env_file), LiveProgress() as progress:
            application = Application([found.source for found in terms.mappings], env_file, progress)
            announce(application)
            report = application.apply(frozen)
    show(report.to_json(), as_json=as_json, render=text.report)
    ctx.exit(report.exit_code)


def _costs(ceiling: Mapping[str, int]) -> str:
    return ", ".join(f"{credits_:,} {name}" for name, credits_ in ceiling.items()) or "no"


@click.command()
@mapping_option()
@all_option
@json_option
@env_option
@click.pass_context
def sync(
    ctx: click.Context, mappings: tuple[str, ...], override_guards: bool, as_json: bool, env_file: Path | None
) -> None:
    """Make one pass: finish the open work of earlier runs, then take the flagged records. Never asks a question.

    \b
    Example:
      connector sync -m lead -m contact
    """
    from connector.app.application import Application
    from connector.app.limits_view import flag_lines

    with alerting("sync", mappings, env_file), LiveProgress() as progress:
        application = Application(mappings, env_file, progress)
        announce(application)
        report = application.sync(override_guards=override_guards)
    show(report.to_json(), as_json=as_json, render=text.report)
    if report.selected == 0 and report.exit_code == 0:
        for line in flag_lines(application.mappings.values(), mappings):
            say(line)
    ctx.exit(report.exit_code)


api_option = click.option(
    "--api",
    type=click.Choice([one.value for one in CrmApi]),
    default=CrmApi.AUTO.value,
    help="Read and write by single calls (rest) or by jobs (bulk); auto uses jobs for many records.",
)


@click.command()
@mapping_option()
@where_option
@ids_option
@limit_option
@all_option
@api_option
@yes_option
@json_option
@env_option
@click.pass_context
def backfill(
    ctx: click.Context,
    mappings: tuple[str, ...],
    where: str | None,
    ids: Path | None,
    limit: int | None,
    override_guards: bool,
    api: str,
    yes: bool,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Enrich records chosen by a condition or a list of ids instead of the flag. Shows the cost and asks.

    \b
    Example:
      connector backfill -m lead --where "CreatedDate = LAST_N_DAYS:90 AND Email = null" --limit 1000
    """
    from connector.app.application import Application
    from connector.app.limits_view import most_credits

    if not where and not ids:
        raise click.UsageError("name the records: --where SOQL, or --ids FILE")
    with LiveProgress() as progress:
        application = Application(mappings, env_file, progress)
        announce(application)
        chosen = replace(application.choose(where, ids, limit), override_guards=override_guards, api=CrmApi(api))
        forecast = None if yes else application.plan(chosen)
    if forecast is not None:
        (out() if not as_json else err()).print(plan_text.preview(for_eyes(forecast.to_json())))
        costs = _costs(most_credits(forecast, application.mappings))
        confirm(f"Enrich these {forecast.selected} records for at most {costs} credits?", yes=False)
    with alerting("backfill", mappings, env_file), LiveProgress() as progress:
        application.tell(progress)
        report = application.backfill(chosen)
    show(report.to_json(), as_json=as_json, render=text.report)
    ctx.exit(report.exit_code)


@click.command()
@click.argument("run")
@yes_option
@json_option
@env_option
@click.pass_context
def undo(ctx: click.Context, run: str, yes: bool, as_json: bool, env_file: Path | None) -> None:
    """Restore the values that RUN replaced, only where the field still holds the value that it wrote.

    The flag stays as it is.

    \b
    Example:
      connector undo 20261120T100000-a1b2c3
    """
    from connector.app.application import Application
    from connector.app.past_runs import find_run

    with Application((), env_file).ledger() as ledger:
        found = find_run(ledger, run)
        count = ledger.runs.count_undoable(found.id)
    if count:
        confirm(f"Restore the fields of up to {count} records that run {found.id} wrote?", yes=yes)
    with LiveProgress() as progress:
        report = Application((), env_file, progress).undo(found.id)
    show(report.to_json(), as_json=as_json, render=text.report)
    ctx.exit(report.exit_code)


COMMANDS = (plan, apply, sync, backfill, undo)
