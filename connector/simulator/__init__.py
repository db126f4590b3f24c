"""Simulates the connector's three sites over HTTP on loopback, built from their contracts, not from our client.

The package imports nothing of the rest. It misbehaves on request, and keeps its own ledger of charges to check the
connector's against.
"""
