"""Makes unlimited images of one brain, and of brains that never were, from label maps and T1 volumes."""
