"""The tests. Importing them sets up two things for the whole process, whichever runner it is: hypothesis draws the same
examples every time, and every nonce that an encryptor uses is watched (see `nonce_recorder`)."""

from __future__ import annotations

from hypothesis import settings

from .nonce_recorder import watch_every_test

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None, max_examples=100)
settings.load_profile("deterministic")
watch_every_test()
