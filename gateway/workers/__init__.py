"""Many processes that are one gateway: what they share, who of them is alive, and who starts them again."""
