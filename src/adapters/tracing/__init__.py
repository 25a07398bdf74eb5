"""Traces, by OpenTelemetry, where its standard variables ask for them."""
