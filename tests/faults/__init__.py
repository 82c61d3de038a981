"""Parts that die while people work, on real servers."""
