"""Long jobs: what becomes of them as a function of time, how they are taken in and changed, and their webhooks."""
