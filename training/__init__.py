"""What is needed to train, evaluate and export the networks of bargewatch."""
