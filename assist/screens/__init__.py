"""What each page sees of a call, and what people do there."""
