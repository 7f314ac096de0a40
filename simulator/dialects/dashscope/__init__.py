"""DashScope's own wire: clips and pictures of Wan and Qwen, as tasks or at once."""
