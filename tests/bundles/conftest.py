"""Fixtures for tests that run a bundle."""

from bundle_fixtures import *  # noqa: F403
