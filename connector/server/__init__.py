"""HTTP: store what arrives, answer at once; no work is done here.

Nothing of a request but its route is logged: paths hold secrets, bodies hold ids.
"""
