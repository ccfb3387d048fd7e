"""What all pictures have in common, and the pictures of one run."""
