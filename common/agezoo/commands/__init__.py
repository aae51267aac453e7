"""One module per verb: its arguments, the call, and what it prints."""
