"""Inputs of the networks as pure arrays: mel, speech windows, boxes, crops, masks."""
