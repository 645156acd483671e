"""The user study: a plan of questions, a blind page for raters, and its results."""
