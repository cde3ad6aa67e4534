"""Which rows are held out: drawn by cluster, locked, and frozen for a run."""
