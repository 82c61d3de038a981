"""The funnel (AN-5): who entered which stage, how far they got, how long they stayed."""
