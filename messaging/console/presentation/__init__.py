"""How things stand, in words for office people. What happened is kept as keys and values, and worded here."""
