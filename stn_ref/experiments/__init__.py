"""The paper's networks and tasks, small enough for a laptop: `python -m stn_ref train`."""
