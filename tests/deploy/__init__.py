"""What is deployed (containers, charts) against what the code says."""
