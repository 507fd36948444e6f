"""Detectors, data and one trial: knows nothing of sweeps."""
