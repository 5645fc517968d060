"""Outtray side by side with its peers, on the same messages and against the same server: `make bench`."""
