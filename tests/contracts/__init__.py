"""What producers, consumers and clients may rely on."""
