"""The person's own mouths: gathered from a video, chosen for every frame of an output."""
