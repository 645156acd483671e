"""What networks take as input, as pure arrays: mel, speech windows, boxes, crops, masks."""
