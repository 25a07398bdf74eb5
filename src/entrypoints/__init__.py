"""What calls the core: HTTP, the command line, and the composition root that wires them."""
