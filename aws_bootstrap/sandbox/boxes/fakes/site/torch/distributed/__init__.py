"""The part of torch.distributed that the aws-bootstrap sandbox has: `python -m torch.distributed.run`."""
