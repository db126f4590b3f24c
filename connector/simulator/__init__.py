"""The three sites that the connector talks to, over HTTP on loopback: built from their contracts, not from our client.

It knows nothing of the rest of the package. It misbehaves on request and keeps its own ledger of charges, which judges
the connector's.
"""
