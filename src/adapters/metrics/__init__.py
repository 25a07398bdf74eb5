"""Metrics: what is counted, where the numbers are kept, who counts, and how Prometheus is told."""
