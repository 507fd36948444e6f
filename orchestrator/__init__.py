"""Sweep orchestrator: from a YAML file to rows, on a laptop or a Ray cluster."""
