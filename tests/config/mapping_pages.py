"""A mapping file on disk, spoilt in one place, and the loader's problems with it."""

from pathlib import Path

from connector.app.mappings import CATALOG
from connector.config.mapping_file import LoadedMapping, load_mapping
from connector.core.errors import MappingError
from connector.core.model import Channel

MAPPINGS = Path(__file__).parents[2] / "mappings"

PAGE = """\
version: 1
name: lead
object: Lead
select:
  flag: Ask__c
  where: "IsConverted = false"
  order: newest
person:
  personnel_id: Pid__c
  event_id: Event__c
  linkedin_url: Url__c
channels:
  work_email:
    from: [lensmor, salesfinity]
    field: Email
    write: if_empty
    empty_when: Bounced__c
    status: Email_Status__c
    opt_out: NoEmail__c
  phone:
    from: [lensmor]
    field: MobilePhone
    format: e164
    default_region: US
stamp:
  error: Error__c
limits:
  max_credits: {lensmor: 3000, salesfinity: 200}
  refresh_after: 180d
"""


def load(path: Path, text: str | bytes = PAGE) -> LoadedMapping:
    """Write the file and load it by its path."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_mapping(str(path), CATALOG)


def spoilt(old: str, new: str) -> str:
    """The page with one text replaced, which must occur once."""
    assert PAGE.count(old) == 1, old
    return PAGE.replace(old, new)


def problems(path: Path, text: str | bytes) -> list[str]:
    """The problems of a file, one line each, with its path shortened to `m.yaml`."""
    try:
        load(path, text)
    except MappingError as error:
        return [line.replace(str(path), "m.yaml") for line in error.problems]
    return []


def channels_of(loaded: LoadedMapping) -> set[Channel]:
    """The channels of a mapping."""
    return {channel for channel, _ in loaded.mapping.channels.items()}
