"""A fake torchvision of the aws-bootstrap sandbox: it can only be imported."""
