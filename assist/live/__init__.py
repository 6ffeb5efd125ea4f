"""A call as it happens: sound in, events out, and the program around it."""
