"""The page of `w2l ui`: what a browser shows of videos and jobs. It needs the extra `[ui]`."""
