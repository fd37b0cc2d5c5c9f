"""Who is seen in a clip, and who of them speaks."""
