"""Every picture's hand, and the pictures of one run."""
