"""What a record has to be: columns, types, modes, and personal data. The built-in contracts are in ``built_in``."""
