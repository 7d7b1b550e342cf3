"""Bytes to values, and back. No state, no time, no Twisted.

Every function that reads bytes of the network says so by `_untrusted` in its name, and raises one named error only.
"""
