"""Django's backend for PostgreSQL, which ends the statements of a page that take too long."""
