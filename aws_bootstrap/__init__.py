"""aws-bootstrap: one command to a configured GPU box on AWS EC2, one command to end it."""
