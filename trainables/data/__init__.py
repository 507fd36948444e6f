"""Telemetry: reading, windows, splits and few-shot draws."""
