"""The stages that a record passes, in the order in which it meets them; all effects go through the ledger first."""
