"""Train the sync expert: the train-expert stage."""
