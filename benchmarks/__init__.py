"""Measures the service against a yardstick on the same PostgreSQL, in one run: ``python -m benchmarks``."""
