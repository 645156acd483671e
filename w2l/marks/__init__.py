"""Marks of outputs: a visible label, an imperceptible mark, a signed manifest, and what reads them."""
