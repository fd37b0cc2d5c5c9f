"""What a run would need on hardware that is not here, from the program that would run there."""
