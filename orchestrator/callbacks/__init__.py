"""Observers of a sweep: they may fail without hurting a trial."""
