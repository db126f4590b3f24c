"""Salesforce's names: in mapping files, and for people."""

NAME = "salesforce"
LABEL = "Salesforce"
