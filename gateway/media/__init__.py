"""Pictures, clips and sound: what is ordered, how vendors are led through making it, and a call from key to settle."""
