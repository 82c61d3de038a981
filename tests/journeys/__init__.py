"""The whole stack through the gateway, as people and programs use it: an HTTP client, a Kafka client, nothing else."""
