"""Pretraining of the bundled backbone: corpora, training loop and the gate its weights must pass."""
