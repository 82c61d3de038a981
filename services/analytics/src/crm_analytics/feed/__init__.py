"""The events of the product over HTTP, for whoever may read the records that they are about."""
