"""Use cases, and the only place where settings are wired to services.

Commands import the module of their use case: each loads the libraries that it needs, and no others.
"""
