"""What one end of a link knows and decides. `now` is an argument, and so is chance; no Twisted."""
