"""The scorer: finds what is to be scored, measures it once, keeps the numbers, sums them up, and tells them."""
