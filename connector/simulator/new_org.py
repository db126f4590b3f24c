"""An org that never met the connector: none of its fields, and an address field of the company's own."""

from typing import TYPE_CHECKING

from connector.simulator.fitting import LINK, SEEDED_OBJECTS
from connector.simulator.salesforce.schema import Field
from connector.simulator.salesforce.standard import ENRICHMENT

if TYPE_CHECKING:
    from connector.simulator.server import Simulator

OWN_LINK = Field("LinkedIn_Profile__c", "url", 255, label="LinkedIn profile")


def forget_connector(simulator: "Simulator") -> None:
    """Remove the connector's fields from Lead and Contact; LinkedIn addresses move to the company's own field."""
    org = simulator.salesforce.org
    for name in SEEDED_OBJECTS:
        org.add_field(name, OWN_LINK)
        for row in org.records(name):
            if row[LINK] is not None and not row["IsDeleted"]:
                org.edit(name, str(row["Id"]), {OWN_LINK.name: row[LINK]})
        for field in ENRICHMENT:
            org.remove_field(name, field.name)
