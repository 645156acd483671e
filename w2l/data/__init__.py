"""From folders of videos to batches of training samples."""
