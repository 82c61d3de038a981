"""Published data sets loaded through the public API: `./crm demo load NAME DIR`."""
