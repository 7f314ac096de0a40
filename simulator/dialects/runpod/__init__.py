"""RunPod's serverless wire, and what its workers do."""
