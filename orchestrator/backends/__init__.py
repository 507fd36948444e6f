"""Where trials run: one contract, one file per backend."""
