"""Figures of the report, one per file; each function gives a matplotlib ``Figure`` and touches no global state."""
