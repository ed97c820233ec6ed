"""Tests that take minutes: `make killtest` and `make year`."""
