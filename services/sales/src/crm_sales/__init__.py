"""The sales service: products, pipelines, opportunities."""
