"""Run reports as text and CSV, and log lines. The values themselves produce the JSON documents."""
