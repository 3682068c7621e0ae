"""What is ours."""
