"""Published experiments against measured ones."""
