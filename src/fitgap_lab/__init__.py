"""Programs that only prove fitgap itself; they are not part of what its users install."""
