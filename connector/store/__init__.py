"""The ledger: all data that must survive a crash, on SQLite or PostgreSQL."""
