"""The page of `w2l ui`: what a browser shows of videos, jobs, scores, models and runs. It needs the extra `[ui]`."""
