"""What is masked, kept and erased."""
