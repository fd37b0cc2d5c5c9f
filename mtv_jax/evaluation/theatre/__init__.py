"""The theatre suite: does a pipeline follow each track of its sound, and its text, on synthetic clips?"""
