"""Face detectors behind one protocol, and the landmarks that refine them."""
