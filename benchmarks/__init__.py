"""Measurements, each as a ratio to what pgbench does on the same server in the same run."""
