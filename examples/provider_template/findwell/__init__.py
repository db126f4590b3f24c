"""Findwell, an invented vendor: emails by name and company domain or by LinkedIn, phones by LinkedIn."""

from findwell.provider import REGISTRATION

__all__ = ["REGISTRATION"]
