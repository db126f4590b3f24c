"""The base of every group of settings: typed values that `connector.config` reads under their documented names."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class SettingGroup(BaseModel):
    """Settings that belong together. The values come from the caller alone; a secret is never echoed in an error.

    Attributes:
        prefix: begins the documented name of each setting, in upper case, such as `CONNECTOR_`.
    """

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    prefix: ClassVar[str] = ""

    @classmethod
    def documented_names(cls) -> dict[str, str]:
        """By field, the names that are not the prefix with the field's name."""
        return {}
