"""The HTTP server: it stores inbound requests and answers at once; it does no other work.

Of a request, only its route is logged: paths contain secrets, bodies contain ids.
"""
