"""The ledger: everything that must survive a crash, on SQLite or PostgreSQL through one set of statements."""
