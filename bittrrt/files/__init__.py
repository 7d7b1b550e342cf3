"""The disk: what this end keeps of keys, and what it moves."""
