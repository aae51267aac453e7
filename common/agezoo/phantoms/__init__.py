"""Synthetic cohorts with a known ageing signal, written as real file formats."""
