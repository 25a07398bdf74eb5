"""The HTTP service: strict decoding, then commands of the core, then outcomes as answers. Nothing here decides."""
