"""The console script `connector`. Commands parse, call the application and print; they decide nothing."""
