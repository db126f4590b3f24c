"""What `connector doctor` says of Salesforce: the login, the quota, and every mapped field."""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.config import LoadedMapping
from connector.core.errors import ConnectorError
from connector.crm.interface import Crm
from connector.engine.check import Problem, check_fields


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`: what was looked at, whether it is fit, and the fix."""

    subject: str
    ok: bool
    message: str


def doctor_crm(crm: Crm, loaded: Mapping[str, LoadedMapping]) -> list[Finding]:
    """Look at everything that a run needs of the CRM."""
    try:
        crm.login()
    except ConnectorError as error:
        return [Finding("Salesforce login", ok=False, message=str(error))]
    usage = crm.usage()
    findings = [Finding("Salesforce login", ok=True, message="accepted")]
    if usage.daily_limit:
        findings.append(
            Finding(
                "Salesforce quota", ok=True, message=f"{usage.daily_used} of {usage.daily_limit} daily requests used"
            )
        )
    for found in loaded.values():
        try:
            problems: list[Problem] = check_fields(crm, found.mapping)
        except ConnectorError as error:
            findings.append(Finding(f"object {found.mapping.object}", ok=False, message=str(error)))
            continue
        findings += [Finding(found.place(problem.path), ok=False, message=problem.message) for problem in problems]
        if not problems:
            count = len(found.mapping.read_fields())
            findings.append(
                Finding(f"object {found.mapping.object}", ok=True, message=f"{count} fields visible and fit")
            )
    return findings
