"""What `w2l doctor` checks.

Modules of w2l and of others are imported inside the checks, so that a package that is absent or broken is a finding
and not an error.
"""
