"""Figures of the report: one file each, an interactive and a printable form."""
