"""Settings from the environment or a `.env` file, and mapping files with errors that name file, line and key.

`finding` and `mapping_file` are imported by themselves: only commands with `-m` need a YAML library.
"""

from connector.config.addresses import check_url, database_url
from connector.config.environment import ENV_FILE, PREFIXES, Values, env_file_here, file_texts, read_values
from connector.config.problems import SettingProblem, raise_all
from connector.config.settings import (
    ReservedSettings,
    Settings,
    read_group,
    read_settings,
    setting_names,
)

__all__ = [
    "ENV_FILE",
    "PREFIXES",
    "ReservedSettings",
    "SettingProblem",
    "Settings",
    "Values",
    "check_url",
    "database_url",
    "env_file_here",
    "file_texts",
    "raise_all",
    "read_group",
    "read_settings",
    "read_values",
    "setting_names",
]
