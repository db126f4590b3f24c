"""Salesforce Leads and Contacts, enriched by Lensmor and Salesfinity: bought once, written only where it is ours."""
