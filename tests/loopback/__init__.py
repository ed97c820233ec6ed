"""Servers on 127.0.0.1 that speak the protocols of imagery services, with faults on demand; for tests alone."""
