"""Where work runs: in this process, for now."""
