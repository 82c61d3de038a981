"""Who may hear which event, by the record that it is about as that record is now."""
