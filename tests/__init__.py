"""Tests of w2l, in the folders of the packages that they test."""
