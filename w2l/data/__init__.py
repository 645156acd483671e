"""Datasets: from folders of videos to batches of training samples."""
