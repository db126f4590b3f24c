"""The console script `connector`: each command parses, calls the application and prints; it decides nothing."""
