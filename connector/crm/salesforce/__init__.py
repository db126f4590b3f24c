"""Salesforce by its REST API, through simple-salesforce.

Facts and their sources: docs/salesforce.md. simple-salesforce 1.12.10 is used for logins, requests and error classes;
its retries, paging and write helpers are not, for the reasons given where each is replaced.
"""

from connector.crm.salesforce.login import Login
from connector.crm.salesforce.names import LABEL, NAME
from connector.crm.salesforce.settings import REGISTRATION

__all__ = ["LABEL", "NAME", "REGISTRATION", "Login"]
