"""`connector provision`: the CRM configuration that mappings need, as a package or created directly."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from connector.app.configuring import DEFAULT_CRM, folder_of, survey
from connector.app.mappings import load_mappings
from connector.app.wiring import connect_crm
from connector.config import env_file_here
from connector.core.errors import ConfigurationError
from connector.core.mapping import MappingFile
from connector.crm.provisioning import Applied, Needed, Provisioner, TriggerApi
from connector.jobs.clock import SystemClock

__all__ = ["Applied", "Provisioning", "provisioning"]


class Provisioning:
    """What the mappings of one CRM need.

    Args:
        provisioner: of the CRM; logged in.
        label: the CRM's name for people.
        needed: the configuration that the mappings need.
    """

    def __init__(self, provisioner: Provisioner, label: str, needed: Needed) -> None:
        self._provisioner = provisioner
        self.label = label
        self.needed = needed

    def apply(self) -> list[Applied]:
        """Create what is missing."""
        return self._provisioner.apply(self.needed)

    def assign(self, user: str) -> list[Applied]:
        """Give the connector's user the access that the mappings need."""
        return self._provisioner.assign(self.needed, user)

    def write(self, folder: Path) -> list[Path]:
        """Write the package; returns the files that were written, without those that are already there.

        Raises:
            ConfigurationError: a file exists with another content, or cannot be written; nothing was written.
        """
        files = {folder / name: text for name, text in self.needed.files.items()}
        others = [path for path, text in files.items() if path.exists() and _text(path) != text]
        if others:
            names = ", ".join(str(path.relative_to(folder)) for path in sorted(others)[:5])
            raise ConfigurationError(
                f"{folder} has other versions of {len(others)} of the files ({names}); name a new folder with --out, "
                "or delete that one"
            )
        written = [path for path in files if not path.exists()]
        try:
            for path in written:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(files[path], encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be written ({error.strerror}); name another folder") from error
        return written


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


@contextmanager
def provisioning(
    names: Sequence[str], env_file: Path | None, operation: str, description: str
) -> Iterator[Provisioning]:
    """Log in and compare what the mappings need with what the CRM has; changes nothing.

    Args:
        names: the values of `-m`.
        env_file: the settings file; by default `.env` in the working directory, if any.
        operation: the id of the trigger API's operation for one record.
        description: the OpenAPI document of that operation, with `{url}` for the public address.

    Raises:
        ConfigurationError: settings or mapping files cannot be used, or the CRM has nothing to provision.
    """
    env_file = env_file or env_file_here()
    found = load_mappings(names, folder_of(env_file))
    surveyed = survey(env_file)
    configured = surveyed.configured
    mappings = [one.file.mapping for one in found.loaded]
    crm_name = _only_crm(mappings)
    problems = [*found.problems, *map(str, surveyed.problems)]
    missing = configured.missing_login(crm_name)
    if missing and not surveyed.about(configured.crms[crm_name].prefix):
        problems.append(missing)
    if problems:
        raise ConfigurationError("\n".join(dict.fromkeys(problems)))
    crm = connect_crm(configured, SystemClock(configured.settings.connector_time_scale), crm_name)
    try:
        crm.login()
        provisioner = crm.provisioner()
        if provisioner is None:
            raise ConfigurationError(f"the connector cannot provision {crm.label}")
        url = configured.settings.connector_public_url
        trigger = TriggerApi(url, description.replace("{url}", url), operation) if url else None
        yield Provisioning(provisioner, crm.label, provisioner.prepare(mappings, trigger))
    finally:
        crm.close()


def _only_crm(mappings: Sequence[MappingFile]) -> str:
    names = sorted({mapping.crm for mapping in mappings})
    if len(names) > 1:
        raise ConfigurationError(f"the mappings are of several CRMs ({', '.join(names)}); provision each by itself")
    return names[0] if names else DEFAULT_CRM
