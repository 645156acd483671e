"""The train-expert stage: train the sync expert."""
