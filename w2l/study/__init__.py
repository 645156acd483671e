"""The user study: a plan of questions, a blind page for raters, and what their answers say."""
