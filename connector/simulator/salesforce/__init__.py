"""The simulated Salesforce org and its REST API."""

from connector.simulator.salesforce.org import Org, Update
from connector.simulator.salesforce.rules import GovernorLimit, RowRule, refuses
from connector.simulator.salesforce.schema import Field
from connector.simulator.salesforce.site import SalesforceSite

__all__ = ["Field", "GovernorLimit", "Org", "RowRule", "SalesforceSite", "Update", "refuses"]
