"""What is compared, a folder each: `settings` of its Django, and `agent`, the process that the benchmark talks to."""
