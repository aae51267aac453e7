"""Whole jobs made of several bundle runs."""
