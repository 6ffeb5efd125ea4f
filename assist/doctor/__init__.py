"""Whether this installation is sound: `assist doctor`."""
