"""The stages of a run, in the order in which a record passes them; every effect is committed to the ledger first."""
