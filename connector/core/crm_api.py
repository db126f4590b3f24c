"""Which API of a CRM a run uses for many records."""

from enum import StrEnum


class CrmApi(StrEnum):
    """The choice of `--api`.

    Auto: single calls for few records, jobs for many. Rest: single calls only. Bulk: jobs wherever the CRM has them.
    """

    AUTO = "auto"
    REST = "rest"
    BULK = "bulk"
