"""A record is data: everything that comes out of a store passes here before it is used.

See docs/SECURITY.md for what is protected from whom.
"""
