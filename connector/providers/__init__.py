"""The vendors of channels: one folder each, found through `registry`."""
