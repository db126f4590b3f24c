"""The CRM whose records are enriched, behind one interface."""
