"""What implements the ports of the core: databases, caches, clocks, and the faults that tests inject."""
