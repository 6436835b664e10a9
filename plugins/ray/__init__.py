"""Ray: workers for a run, on this machine or on a cluster. The only room that imports ray."""
