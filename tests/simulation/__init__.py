"""Random histories of a bus that loses its memory, driving the very rules that relay and consumer use."""
