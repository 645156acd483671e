"""Train the generator: the train stage."""
