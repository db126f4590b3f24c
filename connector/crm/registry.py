"""The CRMs that the connector knows, by the name that mapping files give them."""

from collections.abc import Mapping

from connector.crm import salesforce
from connector.crm.registration import CrmRegistration

CRMS: Mapping[str, CrmRegistration] = {salesforce.REGISTRATION.name: salesforce.REGISTRATION}
