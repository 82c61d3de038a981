"""The merged API documents and the pages that show them."""
