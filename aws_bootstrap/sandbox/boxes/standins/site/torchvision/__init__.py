"""A stand-in for torchvision in the aws-bootstrap sandbox: it can be imported, and that is all."""
