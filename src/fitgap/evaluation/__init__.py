"""What a network scores on a partition, and the gap between two partitions."""
