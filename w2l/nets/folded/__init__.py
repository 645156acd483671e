"""Networks with normalisation folded into their convolutions, for fast inference."""
