"""The forms in which Salesforce takes values."""

from datetime import UTC, datetime, timedelta, timezone

from connector.crm.salesforce import Login
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.site import SalesforceCrm


def test_times_are_written_in_utc() -> None:
    crm = SalesforceCrm(Client(Login("https://example.my.salesforce.com"), "67.0", 20, lambda _seconds: None))
    moment = datetime(2026, 11, 20, 12, 0, 59, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert crm.written_time(moment) == "2026-11-20T10:00:59.000+0000"
    assert crm.written_time(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000+0000"
