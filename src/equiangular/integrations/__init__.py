"""Other libraries' ways of plugging in. Import the module you need; each needs its own extra."""
