"""Django's backend for SQLite, which does not take a locked file for a library without JSON."""
