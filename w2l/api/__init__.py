"""The functions behind the names of `w2l`: one module each, called by scripts, notebooks and the commands alike."""
