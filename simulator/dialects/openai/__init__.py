"""OpenAI's wires: chat, images, audio, embeddings, moderations, and the forms in which other vendors speak them."""
