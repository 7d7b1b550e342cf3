"""Twisted: sockets, the rendezvous, and the sessions that stand on them."""
