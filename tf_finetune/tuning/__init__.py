"""Search of a run's settings by trials: a study, its trials and its winner."""
