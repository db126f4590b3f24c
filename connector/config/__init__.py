"""Settings from the environment or a `.env` file, and mapping files with errors that name file, line and key."""

from connector.config.addresses import check_url, database_url
from connector.config.environment import ENV_FILE, PREFIXES, Values, env_file_here, file_texts, read_values
from connector.config.finding import find_mapping
from connector.config.mapping_file import LoadedMapping, load_mapping
from connector.config.problems import SettingProblem, raise_all
from connector.config.settings import (
    ReservedSettings,
    Settings,
    read_group,
    read_settings,
    reserved_names,
    setting_names,
)

__all__ = [
    "ENV_FILE",
    "PREFIXES",
    "LoadedMapping",
    "ReservedSettings",
    "SettingProblem",
    "Settings",
    "Values",
    "check_url",
    "database_url",
    "env_file_here",
    "file_texts",
    "find_mapping",
    "load_mapping",
    "raise_all",
    "read_group",
    "read_settings",
    "read_values",
    "reserved_names",
    "setting_names",
]
