"""Made-up requests to every operation of the merged OpenAPI document, through the gateway."""
