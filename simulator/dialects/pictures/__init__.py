"""Pictures on wires that are nearly OpenAI's: one dialect, whose vendors are forms (`forms.yaml`)."""
