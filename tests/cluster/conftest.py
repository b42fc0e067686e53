"""What is no test here."""

# A plug-in for the test hosts; imported in this process, it would appear in the registries that other tests read.
collect_ignore = ["plugin"]
