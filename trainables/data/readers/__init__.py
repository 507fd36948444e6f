"""Readers: one file per source of telemetry."""
