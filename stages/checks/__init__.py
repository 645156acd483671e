"""The checks of `w2l doctor`.

Modules of w2l and of others are imported inside the checks, so that a missing or broken package is a finding and
not an error.
"""
